-- Services of an earlier release still rely on advisory locks. A lock of a role that cannot be a
-- service does not count.
create or replace function reveille.old_lock_holders(class integer, id integer)
returns table (pid integer, role text, counts boolean)
language sql volatile as $$
  select l.pid, coalesce(r.rolname::text, 'unknown'),
    coalesce(r.rolname = current_user or r.rolsuper, false)
  from pg_locks l
  join pg_database d on d.oid = l.database and d.datname = current_database()
  left join pg_stat_activity a on a.pid = l.pid
  left join pg_roles r on r.oid = a.usesysid
  where l.locktype = 'advisory' and l.classid = class::oid and l.objid = id::oid
    and l.objsubid = 2 and l.granted and l.pid <> pg_backend_pid()
$$;

comment on function reveille.old_lock_holders is
  'The other sessions that hold an advisory lock, and whether each may be a service.';
revoke all on function reveille.old_lock_holders from public;
