-- Numbers are compared here as they were written, and in job_faults as the other doors read them.
create or replace function reveille.clocks_are_sound(job jsonb) returns boolean
language sql immutable parallel safe as $$
  select job ->> 'run_at' is null and not coalesce(
    job -> 'deadline_seconds' < job -> 'timeout_seconds'
    or job -> 'delay_seconds' > job -> 'deadline_seconds'
    or job -> 'delay_seconds' > job -> 'queue_ttl_seconds', false)
$$;

comment on function reveille.clocks_are_sound is
  'Whether job_faults finds for certain that the time limits of a job fit each other and its start.';
revoke all on function reveille.clocks_are_sound from public;
