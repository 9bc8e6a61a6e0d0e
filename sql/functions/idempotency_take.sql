-- An answer that is old enough gives way, although nobody has removed it. A transaction that has
-- written the same key is waited for, as long as lock_timeout lets it.
create or replace function reveille.idempotency_take(
  principal text, path text, key text, fingerprint bytea, ids uuid[], run_ats timestamptz[],
  keep double precision
) returns boolean
language plpgsql as $$
#variable_conflict use_column
begin
  insert into reveille.idempotency as i (principal, path, key, fingerprint, ids, statuses, outcomes)
  values ($1, $2, $3, $4, $5, array(
      select case when u.run_at > clock_timestamp() then 'scheduled' else 'queued' end
      from unnest($6) with ordinality u (run_at, nth) order by u.nth
    ), array_fill('created'::text, array[cardinality($5)]))
  on conflict (principal, path, key) do update set fingerprint = excluded.fingerprint,
    ids = excluded.ids, statuses = excluded.statuses, outcomes = excluded.outcomes,
    at = excluded.at
  where i.at <= clock_timestamp() - $7 * interval '1 second';
  return found;
end $$;

comment on function reveille.idempotency_take is
  'Writes the answer to a submission that makes these jobs, unless its key has an answer.';
revoke all on function reveille.idempotency_take from public;
