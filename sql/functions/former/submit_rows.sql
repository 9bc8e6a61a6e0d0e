-- Services of the release before call it; the next release drops it.
create or replace function reveille.submit_rows(
  ids uuid[], queues text[], tasks text[], priorities smallint[], run_ats timestamptz[],
  payloads jsonb[], max_attemptss integer[], timeouts double precision[], tagss jsonb[],
  keys text[], policies text[]
) returns table (nth bigint, job_id uuid, status text, outcome text)
language sql volatile as $$
  select * from reveille.submit_keyed(ids, queues, tasks, priorities, run_ats, payloads,
    max_attemptss, timeouts, tagss, '{}', keys, policies)
$$;

comment on function reveille.submit_rows is 'As submit_keyed, of jobs without settings.';
revoke all on function reveille.submit_rows from public;
