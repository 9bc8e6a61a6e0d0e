-- schema text, names text[], shadows boolean. The statements that set the traps: functions of one and of two arguments with
-- these names, and operators.
with kind as (
  select * from unnest(array['text', 'jsonb', 'uuid', 'uuid[]', 'text[]', 'integer', 'bigint', 'smallint', 'numeric',
    'double precision', 'timestamptz']::regtype[]) t (type)
), own as (
  select p.proname::text as name, p.pronargs, p.provariadic, p.prorettype::regtype as type, p.proretset,
    p.proargtypes::oid[] as types
  from pg_proc p where p.pronamespace = 'pg_catalog'::regnamespace and p.proname = any ($2::text[])
), named as (
  select o.name, max(o.pronargs) filter (where o.provariadic = 0) >= 2 or bool_or(o.provariadic <> 0) as takes_two,
    (array_agg(o.type order by o.type) filter (where o.type::oid <> all (
      select t.oid from pg_type t where t.typtype = 'p')))[1] as type
  from own o group by o.name
), signature as (
  select n.name, coalesce(n.type, a.type) as type, array[a.type] as types from named n cross join kind a
  union all
  select n.name, coalesce(n.type, a.type), array[a.type, b.type] from named n cross join kind a cross join kind b where n.takes_two
), function as (
  select s.*, (select string_agg(t::text, ', ') from unnest(s.types) t) as arguments from signature s
  where $3::boolean or not exists (select from own o where o.name = s.name and o.types = s.types::oid[])
), symbol as (
  select * from (values ('||', 'text'), ('=', 'boolean'), ('<>', 'boolean'), ('<', 'boolean'), ('<=', 'boolean'), ('>', 'boolean'),
    ('>=', 'boolean'), ('+', 'numeric'), ('-', 'numeric'), ('*', 'numeric'), ('/', 'numeric'), ('%', 'numeric'), ('->', 'jsonb'),
    ('->>', 'text'), ('@>', 'boolean'), ('?', 'boolean'), ('~', 'boolean'), ('!~', 'boolean'), ('#>>', 'text')) s (name, type)
), operator as (
  select s.name, s.type::regtype as type, a.type as lhs, b.type as rhs, 'operator_' || row_number() over () as function
  from symbol s cross join kind a cross join kind b
  where $3::boolean or not exists (
    select from pg_operator o where o.oprnamespace = 'pg_catalog'::regnamespace and o.oprname = s.name
      and o.oprleft = a.type::oid and o.oprright = b.type::oid)
), body as (
  select $q$begin perform pg_catalog.nextval('app.reached'); insert into app.loot values (%L, current_user, pg_catalog.current_query());
    return null; end$q$ as text
)
select format('create function %I.%I(%s) returns %s language plpgsql as %L', $1::text, f.name, f.arguments, f.type,
  format(body.text, f.name || '(' || f.arguments || ')'))
from function f cross join body
union all
select format('create function %I.%I(%s, %s) returns %s language plpgsql as %L; create operator %1$I.%7$s (leftarg = %3$s, rightarg = %4$s, function = %1$I.%2$I)',
  $1::text, o.function, o.lhs, o.rhs, o.type, format(body.text, o.lhs || ' ' || o.name || ' ' || o.rhs), o.name)
from operator o cross join body
