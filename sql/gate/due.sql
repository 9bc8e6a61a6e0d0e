-- The queues that are to be swept, and in how many seconds.
with recursive fresh (queue) as (
  (select k.queue from reveille.keyed k where k.look = 1 order by k.queue limit 1)
  union all
  select n.queue from fresh f cross join lateral (
    select k.queue from reveille.keyed k where k.look = 1 and k.queue > f.queue
      order by k.queue limit 1
  ) n
), later (queue, run_at) as (
  (select k.queue, k.run_at from reveille.keyed k where k.look = 2
    order by k.queue, k.run_at limit 1)
  union all
  select n.* from later l cross join lateral (
    select k.queue, k.run_at from reveille.keyed k where k.look = 2 and k.queue > l.queue
      order by k.queue, k.run_at limit 1
  ) n
), freed (queue) as (
  (select f.queue from reveille.freed f order by f.queue limit 1)
  union all
  select n.queue from freed p cross join lateral (
    select f.queue from reveille.freed f where f.queue > p.queue order by f.queue limit 1
  ) n
)
select f.queue, 0::double precision as seconds from fresh f
union all
select f.queue, 0 from freed f
union all
select l.queue, extract(epoch from l.run_at - clock_timestamp())::double precision from later l
