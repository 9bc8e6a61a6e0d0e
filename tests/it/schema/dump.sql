-- The schema in words that every PostgreSQL from 14 to 18 puts alike: one row for each object, in a fixed order. Without
-- partitions, which come and go with time, and without owners, which are a matter of who migrates.
with object as (
  select c.oid, c.relname, c.relkind, c.reloptions, c.relacl, c.relowner
  from pg_class c
  where c.relnamespace = 'reveille'::regnamespace and not c.relispartition and c.relkind in ('r', 'p', 'v')
), line as (
  select o.oid, a.attnum as nth, format('  %s %s%s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
    (select format(' collate %I', l.collname) from pg_collation l join pg_type t on t.oid = a.atttypid
     where l.oid = a.attcollation and l.oid <> t.typcollation),
    case when a.attnotnull then ' not null' end, ' default ' || pg_get_expr(d.adbin, d.adrelid)) as text
  from object o
  join pg_attribute a on a.attrelid = o.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = o.oid and d.adnum = a.attnum
  where o.relkind in ('r', 'p')
  union all
  -- From 18 on, NOT NULL is a constraint too.
  select o.oid, 2000 + row_number() over (partition by o.oid order by c.contype <> 'p', c.conname),
    format('  constraint %s %s', c.conname, pg_get_constraintdef(c.oid))
  from object o join pg_constraint c on c.conrelid = o.oid and c.contype in ('c', 'f', 'p', 'u', 'x')
), routine as (
  select p.*, p.oid::regprocedure::text as name from pg_proc p where p.pronamespace = 'reveille'::regnamespace
), part (rank, name, text) as (
  select 1, t.typname::text, format('create type reveille.%s as enum (%s);', t.typname,
    (select string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid))
  from pg_type t where t.typnamespace = 'reveille'::regnamespace and t.typtype = 'e'
  union all
  select 2, o.relname, format(E'create table reveille.%s (\n%s\n)%s%s;', o.relname,
    (select string_agg(l.text, E',\n' order by l.nth) from line l where l.oid = o.oid),
    ' partition by ' || pg_get_partkeydef(o.oid), ' with (' || array_to_string(o.reloptions, ', ') || ')')
  from object o where o.relkind in ('r', 'p')
  union all
  select 3, c.relname, pg_get_indexdef(i.indexrelid) || ';'
  from object o join pg_index i on i.indrelid = o.oid join pg_class c on c.oid = i.indexrelid
  where not exists (select from pg_constraint x where x.conindid = i.indexrelid and x.contype in ('p', 'u', 'x'))
  union all
  -- Before version 16, the columns of a view's only table are written with its name.
  select 4, o.relname, format(E'create view reveille.%s as\n%s', o.relname, case
    when pg_get_viewdef(o.oid) ~ 'JOIN' then pg_get_viewdef(o.oid)
    else regexp_replace(pg_get_viewdef(o.oid), '\m[a-z_0-9]+\.(?=[a-z_"])', '', 'g') end)
  from object o where o.relkind = 'v'
  union all
  select 5, r.name, rtrim(pg_get_functiondef(r.oid), E'\n') || ';' from routine r where r.prokind in ('f', 'p')
  union all
  select 6, o.relname || '.' || t.tgname, pg_get_triggerdef(t.oid) || ';'
  from object o join pg_trigger t on t.tgrelid = o.oid and not t.tgisinternal
  union all
  select 6, o.relname || '.' || t.tgname, format('alter table reveille.%I enable always trigger %I;', o.relname, t.tgname)
  from object o join pg_trigger t on t.tgrelid = o.oid and t.tgenabled = 'A'
  union all
  select 7, o.relname || coalesce('.' || a.attname, ''), format('comment on %s reveille.%s%s is %L;',
    case when a.attname is not null then 'column' when o.relkind = 'v' then 'view' else 'table' end,
    o.relname, '.' || a.attname, d.description)
  from object o
  join pg_description d on d.objoid = o.oid and d.classoid = 'pg_class'::regclass
  left join pg_attribute a on a.attrelid = o.oid and a.attnum = d.objsubid and d.objsubid > 0
  union all
  select 7, r.name, format('comment on function %s is %L;', r.name, obj_description(r.oid, 'pg_proc'))
  from routine r where obj_description(r.oid, 'pg_proc') is not null
  union all
  -- What everybody may do. Nothing, unless a file forgot to take it away.
  select 8, r.name, format('grant %s on function %s to public;', lower(a.privilege_type), r.name)
  from routine r cross join lateral aclexplode(coalesce(r.proacl, acldefault('f', r.proowner))) a where a.grantee = 0
  union all
  select 8, o.relname, format('grant %s on reveille.%s to public;', lower(a.privilege_type), o.relname)
  from object o cross join lateral aclexplode(coalesce(o.relacl, acldefault('r', o.relowner))) a where a.grantee = 0
)
select text from part order by rank, name collate "C", text collate "C"
