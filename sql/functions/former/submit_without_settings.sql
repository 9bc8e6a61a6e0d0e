-- This was `submit` until that took settings. Functions and views of applications may depend on it,
-- and their roles keep what they were granted on it.
create or replace function reveille.submit_without_settings(
  task text default null, payload jsonb default null, queue text default null,
  priority integer default null, run_at timestamptz default null,
  delay_seconds double precision default null, max_attempts integer default null,
  timeout_seconds double precision default null, tags text[] default null,
  unique_key text default null, on_conflict text default null
) returns table (job_id uuid, status text, outcome text)
language sql volatile security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan as $$
  select * from reveille.submit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
$$;

comment on function reveille.submit_without_settings is 'For what was made to call an earlier submit.';
revoke all on function reveille.submit_without_settings from public;
