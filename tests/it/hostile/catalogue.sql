-- Each function of the schema: whether it acts for a role other than its caller's, whether somebody but its owner reaches it,
-- directly or through a view, its own search_path, and whether its body was bound when it was made.
select p.oid::regprocedure::text as name,
  p.prosecdef or p.prorettype in ('trigger'::regtype, 'event_trigger'::regtype) as acts_for_another,
  exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee <> p.proowner)
    or exists (select from pg_depend d where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_proc'::regclass and d.refobjid = p.oid)
    as reached,
  (select substr(c, length('search_path=') + 1) from unnest(p.proconfig) c where c like 'search_path=%') as path,
  p.prosqlbody is not null as bound
from pg_proc p
where p.pronamespace = 'reveille'::regnamespace
order by 1
