-- Who makes or removes partitions, or applies migrations, excludes the others by locks on tables of the schema. Advisory locks with
-- small numbers are anybody's: a session of any role that held one kept the service from starting.

create table reveille.week (
  number         integer primary key,
  removing_since timestamptz
);
comment on table reveille.week is 'The weeks that have partitions. Who sends a job of a week back to wait has a share lock on its row; who removes the week locks the row, looks a last time, and marks it.';
comment on column reveille.week.number is 'As reveille.week_number counts.';
comment on column reveille.week.removing_since is 'Its partitions are being removed since then, and no job of it is sent back to wait.';
revoke all on reveille.week from public;
insert into reveille.week (number)
select distinct reveille.week_number(p.week::timestamp at time zone 'UTC') from reveille.partition p;

-- Makes the weekly partitions from last week to `weeks` weeks ahead. Only who finds one missing locks out the others, and looks
-- again. Attached, not created in place: that would lock out every reader and writer of the parent.
create or replace function reveille.partition_ensure(weeks integer default 3) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  monday timestamptz := date_trunc('week', now() at time zone 'UTC') at time zone 'UTC';
  week timestamptz;
  parent text;
  name text;
begin
  if not exists (
    select from generate_series(-1, weeks) n (nth) cross join unnest(array['job', 'outcome', 'attempt']) p (name)
    where to_regclass('reveille.' || reveille.partition_name(p.name, monday + n.nth * interval '7 days')) is null
  ) then
    return;
  end if;
  lock table reveille.week in share row exclusive mode;
  for week in select monday + n.nth * interval '7 days' from generate_series(-1, weeks) n (nth) loop
    insert into reveille.week (number) values (reveille.week_number(week)) on conflict do nothing;
    foreach parent in array array['job', 'outcome', 'attempt'] loop
      name := reveille.partition_name(parent, week);
      if to_regclass('reveille.' || name) is null then
        execute format('create table reveille.%I (like reveille.%I including all)', name, parent);
        perform reveille.partition_tune(name);
        execute format('alter table reveille.%I attach partition reveille.%I for values from (%L) to (%L)',
          parent, name, reveille.uuid7_floor(week), reveille.uuid7_floor(week + interval '7 days'));
      end if;
    end loop;
  end loop;
end $$;

-- Other sessions that hold an advisory lock of this database, and whether they may be of a service of the release before, which
-- still relies on it: of this role, or of a superuser. A lock of any other role says nothing.
create function reveille.old_lock_holders(class integer, id integer) returns table (pid integer, role text, counts boolean)
language sql volatile as $$
  select l.pid, coalesce(r.rolname::text, 'unknown'), coalesce(r.rolname = current_user or r.rolsuper, false)
  from pg_locks l
  join pg_database d on d.oid = l.database and d.datname = current_database()
  left join pg_stat_activity a on a.pid = l.pid
  left join pg_roles r on r.oid = a.usesysid
  where l.locktype = 'advisory' and l.classid = class::oid and l.objid = id::oid and l.objsubid = 2 and l.granted
    and l.pid <> pg_backend_pid()
$$;
revoke all on function reveille.old_lock_holders(integer, integer) from public;
