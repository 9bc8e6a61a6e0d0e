-- role text (null: this one). Everything in the schema that is not the role's, and every way for
-- others to put something there that runs as the role. The ways are CREATE on the schema, TRIGGER
-- on a table, and a trigger that calls a function of theirs. And the statement that mends it.
with us as (
  select r.oid, r.rolname from pg_roles r where r.rolname = coalesce($1::text, current_user)
), home as (
  select n.oid, n.nspowner, n.nspacl from pg_namespace n where n.nspname = 'reveille'
), thing (class, id, owner) as (
  select 'pg_namespace'::regclass, h.oid, h.nspowner from home h
  union all
  select 'pg_class'::regclass, c.oid, c.relowner from pg_class c join home h on h.oid = c.relnamespace where c.relkind not in ('i', 'I', 'c')
  union all
  select 'pg_type'::regclass, t.oid, t.typowner from pg_type t join home h on h.oid = t.typnamespace
  where t.typcategory <> 'A' and not exists (select from pg_class c where c.oid = t.typrelid and c.relkind <> 'c')
  union all
  select 'pg_proc'::regclass, p.oid, p.proowner from pg_proc p join home h on h.oid = p.pronamespace
  union all
  select 'pg_operator'::regclass, o.oid, o.oprowner from pg_operator o join home h on h.oid = o.oprnamespace
  union all
  select 'pg_opclass'::regclass, o.oid, o.opcowner from pg_opclass o join home h on h.oid = o.opcnamespace
  union all
  select 'pg_opfamily'::regclass, o.oid, o.opfowner from pg_opfamily o join home h on h.oid = o.opfnamespace
  union all
  select 'pg_collation'::regclass, c.oid, c.collowner from pg_collation c join home h on h.oid = c.collnamespace
  union all
  select 'pg_conversion'::regclass, c.oid, c.conowner from pg_conversion c join home h on h.oid = c.connamespace
  union all
  select 'pg_ts_config'::regclass, c.oid, c.cfgowner from pg_ts_config c join home h on h.oid = c.cfgnamespace
  union all
  select 'pg_ts_dict'::regclass, d.oid, d.dictowner from pg_ts_dict d join home h on h.oid = d.dictnamespace
  union all
  select 'pg_statistic_ext'::regclass, s.oid, s.stxowner from pg_statistic_ext s join home h on h.oid = s.stxnamespace
), grantee as (
  select r.oid, r.rolname as name, format('%I', r.rolname) as word from pg_roles r where not r.rolsuper
  union all
  select 0, 'public', 'public'
)
select (t.class <> 'pg_namespace'::regclass)::integer as rank, format('%s belongs to %s', pg_describe_object(t.class, t.id, 0), pg_get_userbyid(t.owner)) as found,
  format('alter %s %s owner to %I', i.type, i.identity, us.rolname) as change
from thing t cross join us cross join lateral pg_identify_object(t.class, t.id, 0) i
where t.owner <> us.oid
union all
select 2, format('%s may create in the schema', g.name), format('revoke create on schema reveille from %s', g.word)
from home h cross join us cross join lateral aclexplode(h.nspacl) a join grantee g on g.oid = a.grantee
where a.privilege_type = 'CREATE' and a.grantee <> us.oid
union all
select 3, format('%s may put triggers on %s', g.name, c.oid::regclass), format('revoke trigger on %s from %s', c.oid::regclass, g.word)
from pg_class c join home h on h.oid = c.relnamespace cross join us cross join lateral aclexplode(c.relacl) a join grantee g on g.oid = a.grantee
where a.privilege_type = 'TRIGGER' and a.grantee <> us.oid
union all
select 4, format('trigger %s on %s calls a function of %s', t.tgname, c.oid::regclass, pg_get_userbyid(p.proowner)),
  format('drop trigger %I on %s', t.tgname, c.oid::regclass)
from pg_trigger t join pg_class c on c.oid = t.tgrelid join home h on h.oid = c.relnamespace join pg_proc p on p.oid = t.tgfoid
  join pg_roles r on r.oid = p.proowner cross join us
where not t.tgisinternal and p.proowner <> us.oid and not r.rolsuper
order by rank, found
