-- Numbers are compared here as they were written, and in job_faults as the other doors read them.
create or replace function reveille.retry_is_sound(value jsonb) returns boolean
language sql immutable parallel safe as $$
  select value - array[
      -- made by make made: names
      'strategy',
      'base_seconds',
      'factor',
      'max_seconds',
      'jitter'
      -- end of names
    ] = '{}' and not coalesce(
      value -> 'max_seconds' < value -> 'base_seconds'
      or value ->> 'factor' is not null and value ->> 'strategy' in ('linear', 'fixed')
      -- made by make made: sound
      or not reveille.text_is_sound(value -> 'strategy')
      or value ->> 'strategy' <> all (array['exponential', 'linear', 'fixed'])
      or not reveille.number_is_sound(value -> 'base_seconds', 0, 604800)
      or not reveille.number_is_sound(value -> 'factor', 1, 100)
      or not reveille.number_is_sound(value -> 'max_seconds', 0, 2592000)
      or not reveille.number_is_sound(value -> 'jitter', 0, 1)
      -- end of sound
    , false)
$$;

comment on function reveille.retry_is_sound is
  'Whether job_faults finds nothing for certain in the object `retry` of a job.';
revoke all on function reveille.retry_is_sound from public;
