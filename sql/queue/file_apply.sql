-- names text[], settings jsonb[] (null: none), digest, action text. Gives queues the settings of a
-- file. A setting that a file before gave goes, where this one does not name the queue. The last
-- thousand contents are remembered.
with noted as (
  insert into reveille.settings_file (digest) values ($3::text)
), forgotten as (
  delete from reveille.settings_file where digest in (
    select f.digest from reveille.settings_file f order by f.applied_at desc offset 999
  )
), clock as materialized (
  insert into reveille.settings_clock as c (at) values (clock_timestamp())
  on conflict (one) do update set at = greatest(excluded.at, c.at + interval '1 microsecond')
  returning c.at
), gone as (
  update reveille.queue q
  set settings = nullif(q.settings - q.of_file, '{}'), of_file = null, touched_at = now(),
    settings_at = clock.at
  from clock
  where q.of_file is not null and q.name <> all ($1::text[])
  returning q.name
), given as (
  insert into reveille.queue as q (name, settings, of_file, settings_at)
  select u.name, u.settings, nullif(array(select jsonb_object_keys(u.settings)), '{}'), clock.at
  from clock cross join unnest($1::text[], $2::jsonb[]) u (name, settings)
  on conflict (name) do update
    set settings = excluded.settings, of_file = excluded.of_file, touched_at = now(),
      settings_at = excluded.settings_at
  returning q.name
)
select reveille.audit_write(null, $4::text, 'queue ' || n.name, null, null)
from (select g.name from given g union all select g.name from gone g) n
