-- The fields of a job that have no column of their own.
create or replace function reveille.job_settings(job jsonb) returns jsonb
language sql immutable parallel safe as $$
  -- made by make made: settings
  select null::jsonb
  -- end of settings
$$;

comment on function reveille.job_settings is 'The rare settings of a job; null without any.';
revoke all on function reveille.job_settings from public;
