-- `submit` gets its last signature. A function with more parameters beside it would make calls
-- ambiguous, and dropping it would take what depends on it and the grants of applications. So the
-- old one gets another name, which keeps both, and the new one gets the same grants.
alter function reveille.submit(text, jsonb, text, integer, timestamptz, double precision, integer,
  double precision, text[], text, text) rename to submit_without_settings;

-- The file of this function replaces the body, which holds until then.
create function reveille.submit(
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
  from reveille.submit_checked(jsonb_build_array(
    jsonb_strip_nulls(jsonb_build_object('task', $1, 'queue', $3, 'priority', $4, 'run_at', $5,
      'delay_seconds', $6, 'max_attempts', $7, 'timeout_seconds', $8, 'tags', $9,
      'unique_key', $10, 'on_conflict', $11))
    || coalesce($12 - 'payload', '{}')
    || case when $2 is null then '{}' else jsonb_build_object('payload', $2) end), false) s
$$;
revoke all on function reveille.submit from public;

do $$
declare
  change text;
begin
  for change in
    select format('grant execute on function reveille.submit to %I', r.rolname)
      || case when a.is_grantable then ' with grant option' else '' end
    from pg_proc p
    cross join lateral aclexplode(p.proacl) a
    join pg_roles r on r.oid = a.grantee
    where p.oid = to_regprocedure('reveille.submit_without_settings(text, jsonb, text, integer, '
        'timestamptz, double precision, integer, double precision, text[], text, text)')
      and a.grantee <> p.proowner
  loop
    execute change;
  end loop;
end $$;
