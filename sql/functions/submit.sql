-- A plan that was made for one call's values would be thrown away, and cost more than the call.
create or replace function reveille.submit(
  task text default null, payload jsonb default null, queue text default null,
  priority integer default null, run_at timestamptz default null,
  delay_seconds double precision default null, max_attempts integer default null,
  timeout_seconds double precision default null, tags text[] default null,
  unique_key text default null, on_conflict text default null
) returns table (job_id uuid, status text, outcome text)
language sql volatile security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan as $$
  select s.job_id, s.status, s.outcome
  from reveille.submit_checked(jsonb_build_array(
    jsonb_build_object('task', $1, 'queue', $3, 'priority', $4, 'run_at', $5, 'delay_seconds', $6,
      'max_attempts', $7, 'timeout_seconds', $8, 'tags', $9, 'unique_key', $10,
      'on_conflict', $11)
    || case when $2 is null then '{}' else jsonb_build_object('payload', $2) end), false) s
$$;

comment on function reveille.submit is
  'Submits a job in the caller''s transaction. Only payload is required; DETAIL lists all faults.';
revoke all on function reveille.submit from public;
