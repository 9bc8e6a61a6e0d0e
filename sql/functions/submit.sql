-- This is the last signature. A field to come is given in `settings`, by the name that it has over
-- HTTP. Another parameter would make calls ambiguous for callers who wrote theirs before.
--
-- A plan that was made for one call's values would be thrown away, and cost more than the call.
create or replace function reveille.submit(
  task text default null, payload jsonb default null, queue text default null,
  priority integer default null, run_at timestamptz default null,
  delay_seconds double precision default null, max_attempts integer default null,
  timeout_seconds double precision default null, tags text[] default null,
  unique_key text default null, on_conflict text default null, settings jsonb default null
) returns table (job_id uuid, status text, outcome text)
language sql volatile security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan as $$
  select s.job_id, s.status, s.outcome
  from (
    select jsonb_build_object('task', $1, 'queue', $3, 'priority', $4, 'run_at', $5,
        'delay_seconds', $6, 'max_attempts', $7, 'timeout_seconds', $8, 'tags', $9,
        'unique_key', $10, 'on_conflict', $11)
      || case when $2 is null then '{}' else jsonb_build_object('payload', $2) end
  ) f (fields)
  cross join lateral reveille.submit_checked(jsonb_build_array(
    case when $12 is null then f.fields else reveille.with_settings(f.fields, $12) end), false) s
$$;

comment on function reveille.submit is
  'Submits a job in the caller''s transaction, and answers with its id, its status and what became of '
  'the submission: created, existing or replaced. Only payload is required. settings takes any other '
  'field by its name over HTTP. DETAIL of an error lists all faults as JSON.';
revoke all on function reveille.submit from public;
