-- Seconds travel to the worker, and not the moments when they are over: its clock may be wrong. A
-- queue_ttl_seconds is over with the first attempt that began.
create or replace function reveille.settings_left(id uuid, settings jsonb) returns jsonb
language plpgsql stable as $$
declare
  began timestamptz;
  age double precision;
begin
  select e.since, extract(epoch from clock_timestamp() - e.since) into began, age
    from reveille.expiry e where e.id = $1;
  return settings || jsonb_build_object('left', jsonb_strip_nulls(jsonb_build_object(
    'deadline_seconds', (settings ->> 'deadline_seconds')::double precision - age,
    'queue_ttl_seconds', case when settings ? 'queue_ttl_seconds'
      and not reveille.has_begun($1, began)
      then (settings ->> 'queue_ttl_seconds')::double precision - age end)));
end $$;

comment on function reveille.settings_left is
  'The settings of a job, with what is left of its limits.';
revoke all on function reveille.settings_left from public;
