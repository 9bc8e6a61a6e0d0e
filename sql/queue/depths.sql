-- How many jobs wait in each queue, due and to come, and for how many seconds the first has been
-- due. Known queues are there when they are empty, too. Its price has a bound, however much waits.
-- It reads the first 1,000 lanes and shares 5,000 rows to be counted among them. Beyond, it takes
-- the word of the statistics. Concurrency keys that are in use, and jobs that wait for their turn, are
-- counted up to 10,001.
with recursive lane as (
  (select queue, task, priority, run_at from reveille.waiting order by queue, task, priority, run_at limit 1)
  union all
  select n.* from lane l cross join lateral (
    select r.queue, r.task, r.priority, r.run_at from reveille.waiting r
    where (r.queue, r.task, r.priority) > (l.queue, l.task, l.priority)
    order by r.queue, r.task, r.priority, r.run_at limit 1
  ) n
), lanes as materialized (
  select * from lane limit 1000
), share as materialized (
  select greatest(5, 5000 / greatest(count(*), 1)) as rows from lanes
), counted as materialized (
  select l.queue, l.run_at, d.jobs as due, s.jobs as later, d.jobs > share.rows as many_due, s.jobs > share.rows as many_later
  from lanes l cross join share
  cross join lateral (
    select count(*) as jobs from (
      select from reveille.waiting r
      where r.queue = l.queue and r.task = l.task and r.priority = l.priority and r.run_at <= now() limit share.rows + 1
    ) r
  ) d
  cross join lateral (
    select count(*) as jobs from (
      select from reveille.waiting r
      where r.queue = l.queue and r.task = l.task and r.priority = l.priority and r.run_at > now() limit share.rows + 1
    ) r
  ) s
), summed as materialized (
  select queue, sum(due)::bigint as due, sum(later)::bigint as later, bool_or(many_due) as many_due, bool_or(many_later) as many_later,
    greatest(extract(epoch from now() - min(run_at)), 0)::double precision as oldest_seconds
  from counted group by queue
), estimate as materialized (
  select e.* from reveille.waiting_estimates(array(select s.queue from summed s where s.many_due or s.many_later)) e
)
select s.queue, case when s.many_due then greatest(s.due, e.due) else s.due end as due,
  case when s.many_later then greatest(s.later, e.later) else s.later end as later, s.oldest_seconds,
  (select count(*) from (select from reveille.gate g where g.queue = s.queue limit 10001) g)::double precision as keys,
  (select count(*) from (select from reveille.keyed x where x.queue = s.queue limit 10001) x)::double precision as keyed
from summed s left join estimate e on e.queue = s.queue
union all
select k.name, 0, 0, 0,
  (select count(*) from (select from reveille.gate g where g.queue = k.name limit 10001) g), 0
from (select q.name from reveille.queue q order by q.name limit 100) k
where not exists (select from lanes l where l.queue = k.name)
