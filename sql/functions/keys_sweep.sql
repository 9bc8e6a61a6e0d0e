-- One pass over a queue: the keys that were freed, then fresh jobs that are due. Those are found by
-- their keys behind `behind`, at most fifty of each, so that a key with a million hides none; those
-- whose time came are found by that. One session sweeps a queue at a time, which is locked by the
-- first statement: each that follows sees what was committed before.
--
-- A job counts as seen when its key has a holder: whoever gives that turn back looks at all that is
-- due. Otherwise it stays fresh, and the next pass finds it.
create or replace function reveille.keys_sweep(queue text, behind text, most integer)
returns table (
  busy text, task text, priority smallint, seen bigint, reached text, seconds double precision
)
language plpgsql as $$
#variable_conflict use_column
declare
  name text := queue;
  freed text[];
  fresh uuid[];
  keys text[];
  marks bigint;
begin
  if not exists (select from reveille.sweeper s where s.queue = name) then
    insert into reveille.sweeper (queue) values (name) on conflict do nothing;
  end if;
  perform from reveille.sweeper s where s.queue = name for update skip locked;
  if not found then
    return;
  end if;

  with f as (
    delete from reveille.freed f where f.ctid = any (array(
      select x.ctid from reveille.freed x where x.queue = name limit most))
    returning f.key
  )
  select array_agg(distinct f.key) into freed from f;
  with recursive k (key) as (
    (select x.key from reveille.keyed x
      where x.queue = name and x.key > behind and x.look = 1 order by x.key limit 1)
    union all
    select n.key from k cross join lateral (
      select x.key from reveille.keyed x
      where x.queue = name and x.key > k.key and x.look = 1 order by x.key limit 1
    ) n
  ), u as (
    (select r.id, k.key, k.key as place
      from (select k.key from k limit most) k
      cross join lateral (
        select x.id from reveille.keyed x
        where x.queue = name and x.key = k.key and x.look = 1 order by x.run_at, x.id limit 50
      ) r
      limit most)
    union all
    (select x.id, x.key, null from reveille.keyed x
      where x.queue = name and x.look = 2 and x.run_at <= clock_timestamp()
      order by x.run_at, x.id limit most)
  )
  select array_agg(u.id), array_agg(distinct u.key), case when count(u.place) >= most then max(u.place) end
  into fresh, keys, reached from u;

  insert into reveille.gate (queue, key)
  select name, u.key from unnest(keys) u (key) order by u.key on conflict do nothing;
  return query
    select o.busy, o.task, o.priority, null::bigint, null::text, null::double precision
    from reveille.gates_open(name, keys || freed) o;
  -- A gate that another session has locked may be about to go.
  with open as materialized (
    select x.id from reveille.keyed x cross join lateral (
      select from reveille.gate g
      where g.queue = name and g.key = x.key and g.holders <> '{}' limit 1 for update skip locked
    ) g
    where x.id = any (fresh)
  ), marked as (
    update reveille.keyed x set look = 0 where x.id = any (array(select open.id from open))
    returning 1
  )
  select count(*) into marks from marked;
  return query
    select null::text, null::text, null::smallint,
      marks + coalesce(cardinality(freed), 0) + (
        select count(*) from unnest(fresh) f (id)
        where not exists (select from reveille.keyed k where k.id = f.id)),
      reached, (
        select extract(epoch from min(k.run_at) - clock_timestamp())::double precision
        from reveille.keyed k where k.queue = name and k.look = 2);
end $$;

comment on function reveille.keys_sweep is
  'Gives turns to jobs of a queue that have come to wait for their keys. Returns what gates_open '
  'does; at last how much it did, where to go on, and in how many seconds the next job is due. '
  'Nothing: another session is at it.';
revoke all on function reveille.keys_sweep from public;
