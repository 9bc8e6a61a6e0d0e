-- One expression, with nothing volatile and no subquery: PostgreSQL puts it into the statement that
-- calls it, instead of calling a function for each job. Most jobs have the first three fields only.
create or replace function reveille.job_is_sound(job jsonb) returns boolean
language sql stable as $$
  select case
    when jsonb_typeof(job) <> 'object' or not job ? 'payload'
      or not reveille.payload_is_sound(job -> 'payload') then false
    when not reveille.text_is_sound(job -> 'task') or job ->> 'task' ~ '[^a-zA-Z0-9_.:-]'
      or not octet_length(job ->> 'task') between 1 and 100 then false
    when not reveille.text_is_sound(job -> 'queue') or job ->> 'queue' ~ '[^a-z0-9_.-]'
      or not octet_length(job ->> 'queue') between 1 and 64 then false
    when job - '{payload,task,queue}'::text[] = '{}' then true
    when job - array[
      -- made by make made: names
      'payload',
      'task',
      'queue',
      'priority',
      'run_at',
      'delay_seconds',
      'max_attempts',
      'timeout_seconds',
      'tags',
      'unique_key',
      'on_conflict',
      'retry',
      'queue_ttl_seconds',
      'deadline_seconds',
      'unique_for_seconds',
      'debounce_max_seconds',
      'concurrency_key'
      -- end of names
    ] <> '{}' then false
    when reveille.is_timed(job) and not reveille.clocks_are_sound(job)
      -- made by make made: sound
      or not reveille.integer_is_sound(job -> 'priority', 0, 9)
      or not reveille.text_is_sound(job -> 'run_at')
      or not reveille.number_is_sound(job -> 'delay_seconds', 0, 315360000)
      or job ->> 'delay_seconds' is not null and job ->> 'run_at' is not null
      or not reveille.integer_is_sound(job -> 'max_attempts', 1, 1000)
      or not reveille.number_is_sound(job -> 'timeout_seconds', 0.001, 604800)
      or not reveille.texts_are_sound(job -> 'tags', 20, 64)
      or not reveille.text_is_sound(job -> 'unique_key')
      or not length(job ->> 'unique_key') between 1 and 255
      or not reveille.text_is_sound(job -> 'on_conflict')
      or job ->> 'on_conflict' <> all (array['keep', 'reject', 'replace'])
      or job ->> 'on_conflict' is not null and job ->> 'unique_key' is null
      or case jsonb_typeof(job -> 'retry')
        when 'object' then not reveille.retry_is_sound(job -> 'retry')
        when 'null' then false else job ? 'retry' end
      or not reveille.number_is_sound(job -> 'queue_ttl_seconds', 0.001, 315360000)
      or not reveille.number_is_sound(job -> 'deadline_seconds', 0.001, 315360000)
      or not reveille.number_is_sound(job -> 'unique_for_seconds', 1, 2592000)
      or job ->> 'unique_for_seconds' is not null and job ->> 'unique_key' is null
      or not reveille.number_is_sound(job -> 'debounce_max_seconds', 0.001, 604800)
      or job ->> 'debounce_max_seconds' is not null and job ->> 'on_conflict' is distinct from 'replace'
      or not reveille.text_is_sound(job -> 'concurrency_key')
      or not length(job ->> 'concurrency_key') between 1 and 255
      -- end of sound
      then false
    when job ->> 'run_at' is not null then coalesce(reveille.moment(job ->> 'run_at')
      between '1970-01-01 00:00:00+00' and now() + interval '315360000 seconds', false)
    else true
  end
$$;

comment on function reveille.job_is_sound is
  'Whether job_faults finds nothing for certain. A job that is not sound may still have no fault.';
revoke all on function reveille.job_is_sound from public;
