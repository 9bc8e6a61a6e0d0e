-- The fields of a job that have no column of their own. The function is stable as is
-- jsonb_build_object: if it claimed more, PostgreSQL would call it for each job instead of putting
-- its text in its place.
create or replace function reveille.job_settings(job jsonb) returns jsonb
language sql stable parallel safe as $$
  -- made by make made: settings
  select case when job ?| array['retry', 'queue_ttl_seconds', 'deadline_seconds', 'unique_for_seconds', 'debounce_max_seconds', 'concurrency_key'] then nullif('{}'::jsonb
    || case when job ->> 'retry' is null then '{}'
      else jsonb_build_object('retry',
        '{}'::jsonb
        || case when job -> 'retry' ->> 'strategy' is null then '{}'
          else jsonb_build_object('strategy',
            job -> 'retry' -> 'strategy') end
        || case when job -> 'retry' ->> 'base_seconds' is null then '{}'
          else jsonb_build_object('base_seconds',
            reveille.number_kept(job -> 'retry' ->> 'base_seconds')) end
        || case when job -> 'retry' ->> 'factor' is null then '{}'
          else jsonb_build_object('factor',
            reveille.number_kept(job -> 'retry' ->> 'factor')) end
        || case when job -> 'retry' ->> 'max_seconds' is null then '{}'
          else jsonb_build_object('max_seconds',
            reveille.number_kept(job -> 'retry' ->> 'max_seconds')) end
        || case when job -> 'retry' ->> 'jitter' is null then '{}'
          else jsonb_build_object('jitter',
            reveille.number_kept(job -> 'retry' ->> 'jitter')) end
      ) end
    || case when job ->> 'queue_ttl_seconds' is null then '{}'
      else jsonb_build_object('queue_ttl_seconds',
        reveille.number_kept(job ->> 'queue_ttl_seconds')) end
    || case when job ->> 'deadline_seconds' is null then '{}'
      else jsonb_build_object('deadline_seconds',
        reveille.number_kept(job ->> 'deadline_seconds')) end
    || case when job ->> 'unique_for_seconds' is null then '{}'
      else jsonb_build_object('unique_for_seconds',
        reveille.number_kept(job ->> 'unique_for_seconds')) end
    || case when job ->> 'debounce_max_seconds' is null then '{}'
      else jsonb_build_object('debounce_max_seconds',
        reveille.number_kept(job ->> 'debounce_max_seconds')) end
    || case when job ->> 'concurrency_key' is null then '{}'
      else jsonb_build_object('concurrency_key',
        job -> 'concurrency_key') end
  , '{}') end
  -- end of settings
$$;

comment on function reveille.job_settings is 'The rare settings of a job; null without any.';
revoke all on function reveille.job_settings from public;
