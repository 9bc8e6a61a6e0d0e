-- A field that is given twice is a fault, and so is a payload among the settings. These faults are
-- told together with those of the job. A null counts as not given.
create or replace function reveille.with_settings(fields jsonb, settings jsonb) returns jsonb
language plpgsql stable as $$
declare
  given jsonb := case jsonb_typeof(settings) when 'object' then settings else '{}' end;
  job jsonb := given - 'payload' || coalesce((
    select jsonb_object_agg(f.name, f.value) from jsonb_each(fields) f (name, value)
    where f.value <> 'null' or f.name = 'payload'
  ), '{}');
  faults jsonb;
begin
  select jsonb_agg(to_jsonb(f) order by f.pointer, f.code) into faults
  from (
    select '/settings', 'wrong_type', 'settings must be an object'
      where jsonb_typeof(settings) not in ('object', 'null')
    union all
    select '/payload', 'unknown_field', 'payload is a parameter of its own, and no setting'
      where given ? 'payload'
    union all
    select '/' || g.name, 'conflicting_fields',
      'give ' || g.name || ' as a parameter or in settings, not both'
      from jsonb_each(given) g (name, value)
      where g.value <> 'null' and g.name <> 'payload' and fields ->> g.name is not null
  ) f (pointer, code, message);
  if faults is not null then
    perform reveille.refuse(faults || coalesce((
      select jsonb_agg(to_jsonb(f) order by f.pointer) from reveille.job_faults(job) f
    ), '[]'));
  end if;
  return job;
end $$;

comment on function reveille.with_settings is 'The fields of a job that has settings as well.';
revoke all on function reveille.with_settings from public;
