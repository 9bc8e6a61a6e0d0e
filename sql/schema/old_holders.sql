-- Who holds the lock of migrations of the release before, and whether that may be a service. The
-- function reveille.old_lock_holders answers this too, but here the schema may not be there yet.
select format('%s of %s', l.pid, coalesce(r.rolname, 'unknown')) as session, coalesce(r.rolname = current_user or r.rolsuper, false) as counts
from pg_locks l
join pg_database d on d.oid = l.database and d.datname = current_database()
left join pg_stat_activity a on a.pid = l.pid
left join pg_roles r on r.oid = a.usesysid
where l.locktype = 'advisory' and l.classid = 77 and l.objid = 0 and l.objsubid = 2 and l.granted and l.pid <> pg_backend_pid()
