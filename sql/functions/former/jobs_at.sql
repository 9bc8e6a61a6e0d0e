-- Services of the release before call it; the next release drops it.
create or replace function reveille.jobs_at(ids uuid[])
returns table (
  place integer, id uuid, queue text, task text, priority smallint, run_at timestamptz,
  payload jsonb, max_attempts integer, timeout_seconds double precision, unique_key text
)
language plpgsql stable strict rows 250 as $$
begin
  return query select j.place, j.id, j.queue, j.task, j.priority, j.run_at, j.payload,
    j.max_attempts, j.timeout_seconds, j.unique_key from reveille.jobs_found(ids) j;
end $$;

comment on function reveille.jobs_at is 'As jobs_found, without the settings.';
revoke all on function reveille.jobs_at from public;
