-- Gates that others have locked are passed by, and answered as `busy`: the caller comes again. Nobody
-- waits here, and no transaction of a submitter locks a gate.
--
-- Each step is a statement of its own, since one that locks sees nothing newer than its beginning.
-- Holders give their turn back here by having ended, or by waiting in `keyed` again, whoever made
-- them. The next ones in the order of the key get it: they move to `ready`, behind what is due there,
-- so that keys take turns. A gate goes when nothing of its key runs or is due.
--
-- Each gate is looked up by its key, whatever the planner believes: to read all gates of a queue for a
-- thousand keys took ten times as long. Its place holds, since an earlier statement has locked it.
create or replace function reveille.gates_open(queue text, keys text[])
returns table (busy text, task text, priority smallint)
language plpgsql as $$
#variable_conflict use_column
declare
  name text := queue;
  moment timestamptz;
  turns integer;
  mine text[];
  idle text;
begin
  select array_agg(l.key) into mine
  from (select distinct u.key from unnest(keys) u (key)) k
  cross join lateral (
    select g.key from reveille.gate g where g.queue = name and g.key = k.key
    limit 1 for update skip locked
  ) l;
  return query
    select k.key, null::text, null::smallint
    from (select unnest(keys) as key except select unnest(mine)) k
    cross join lateral (
      select from reveille.gate g where g.queue = name and g.key = k.key limit 1
    ) g;
  if mine is null then
    return;
  end if;
  select coalesce(min((q.settings ->> 'per_key_concurrency')::integer), 1) into turns
    from reveille.queue q where q.name = $1;
  moment := clock_timestamp();
  return query
    with g as materialized (
      select g.key, g.place, g.holders as before, array(
        select h.id from unnest(g.holders) with ordinality h (id, nth)
        where reveille.has_turn(h.id, g.key) order by h.nth
      ) as holders
      from unnest(mine) m (key) cross join lateral (
        select g.key, g.ctid as place, g.holders from reveille.gate g
        where g.queue = name and g.key = m.key limit 1
      ) g
    ), n as materialized (
      select g.place, g.before, g.holders, x.*
      from g cross join lateral (
        select array_agg(x.id order by x.run_at, x.id) as ids,
          array_agg(x.task order by x.run_at, x.id) as tasks,
          array_agg(x.priority order by x.run_at, x.id) as priorities,
          array_agg(x.attempt order by x.run_at, x.id) as attempts,
          array_agg(x.crashes order by x.run_at, x.id) as crashes
        from (
          select * from reveille.keyed x
          where x.queue = name and x.key = g.key and x.run_at <= moment
          order by x.run_at, x.id limit greatest(turns - cardinality(g.holders), 0)
          for update skip locked
        ) x
      ) x
    ), head as materialized (
      select u.* from n cross join lateral unnest(n.ids, n.tasks, n.priorities, n.attempts, n.crashes)
        with ordinality u (id, task, priority, attempt, crashes, nth)
    ), gone as (
      delete from reveille.keyed x where x.id = any (array(select h.id from head h))
    ), kept as (
      update reveille.gate x set holders = n.holders || coalesce(n.ids, '{}')
      from n
      where x.ctid = n.place and (n.before <> n.holders or n.ids is not null)
    ), back as (
      insert into reveille.ready (queue, task, priority, run_at, id, attempt, crashes, wakes)
      select name, h.task, h.priority, moment - (turns - h.nth) * interval '1 microsecond', h.id,
        h.attempt, h.crashes,
        (row_number() over (partition by h.task, h.priority order by h.nth) = 1)::integer
      from head h
    ), suspects as materialized (
      select pg_notify('reveille', 'suspects') where exists (select from head h where h.crashes >= 2)
    )
    select null::text, h.task, h.priority from head h
    where (select count(*) from suspects) >= 0
    group by h.task, h.priority;
  for idle in
    select m.key from unnest(mine) m (key) cross join lateral (
      select g.holders from reveille.gate g where g.queue = name and g.key = m.key limit 1
    ) g
    where g.holders = '{}' and not exists (
      select from reveille.keyed k where k.queue = name and k.key = m.key and k.run_at <= moment)
  loop
    delete from reveille.gate g where g.queue = name and g.key = idle;
  end loop;
end $$;

comment on function reveille.gates_open is
  'Gives the free turns of concurrency keys to the next jobs of each. Returns the lanes where these '
  'are, and the keys that others have locked.';
revoke all on function reveille.gates_open from public;
