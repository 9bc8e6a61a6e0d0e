-- Null also where the job has a limit of its own: its queue does not count then. A queue_ttl_seconds
-- is over with the first attempt that begins, in whichever life of the job.
create or replace function reveille.default_error(id uuid) returns jsonb
language plpgsql volatile as $$
declare
  age double precision;
  own jsonb;
  limits jsonb;
begin
  select extract(epoch from clock_timestamp() - greatest(reveille.uuid7_time(j.id), j.run_at)),
      coalesce(j.settings, '{}'), coalesce(q.settings, '{}')
    into age, own, limits
    from reveille.job j join reveille.queue q on q.name = j.queue where j.id = $1;
  return case
    when age >= (limits ->> 'deadline_seconds')::double precision and not own ? 'deadline_seconds' then
      reveille.limit_error('deadline_seconds', 'its queue''s', limits ->> 'deadline_seconds')
    when age >= (limits ->> 'queue_ttl_seconds')::double precision and not own ? 'queue_ttl_seconds'
      and not reveille.has_begun($1, '-infinity') then
      reveille.limit_error('queue_ttl_seconds', 'its queue''s', limits ->> 'queue_ttl_seconds')
  end;
end $$;

comment on function reveille.default_error is
  'Why a job may not wait any longer, by the limits of its queue; null while it may.';
revoke all on function reveille.default_error from public;
