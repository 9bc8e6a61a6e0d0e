-- It goes by lanes, each a range of an index. It counts ten thousand jobs of one queue, or as many
-- of all together, but always some of each; beyond, it estimates. Jobs that have ended are not
-- counted: nothing finds them by queue. The plan is pinned, since statistics of a queue are old as
-- soon as they are taken.
create or replace function reveille.queue_state(names text[]) returns table (
  name text, known boolean, paused_at timestamptz, scheduled bigint, queued bigint,
  processing bigint, oldest_waiting_at timestamptz, scheduled_estimated boolean,
  queued_estimated boolean, processing_estimated boolean
)
language sql volatile
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off as $$
  with recursive lane as (
    select f.* from unnest(names) n (name) cross join lateral (
      select r.queue, r.task, r.priority, r.run_at from reveille.waiting r
      where r.queue = n.name order by r.queue, r.task, r.priority, r.run_at limit 1
    ) f
    union all
    select x.* from lane l cross join lateral (
      select r.queue, r.task, r.priority, r.run_at from reveille.waiting r
      where r.queue = l.queue and (r.task, r.priority) > (l.task, l.priority)
      order by r.queue, r.task, r.priority, r.run_at limit 1
    ) x
  ), most as materialized (
    select least(10000, greatest(50, 10000 / greatest(cardinality(names), 1))) as jobs
  ), lanes as materialized (
    select l.queue, array_agg(l.task) as tasks, array_agg(l.priority) as priorities,
      min(l.run_at) filter (where l.run_at <= now()) as oldest
    from lane l group by l.queue
  ), counted as materialized (
    select l.queue, l.oldest, d.jobs as due, s.jobs as later, d.jobs > most.jobs as many_due,
      s.jobs > most.jobs as many_later
    from lanes l cross join most
    cross join lateral (
      select count(*) as jobs from (
        select from unnest(l.tasks, l.priorities) u (task, priority) cross join lateral (
          select from reveille.waiting r
          where r.queue = l.queue and r.task = u.task and r.priority = u.priority
            and r.run_at <= now() limit most.jobs + 1
        ) r limit most.jobs + 1
      ) c
    ) d
    cross join lateral (
      select count(*) as jobs from (
        select from unnest(l.tasks, l.priorities) u (task, priority) cross join lateral (
          select from reveille.waiting r
          where r.queue = l.queue and r.task = u.task and r.priority = u.priority
            and r.run_at > now() limit most.jobs + 1
        ) r limit most.jobs + 1
      ) c
    ) s
  ), estimate as materialized (
    select e.* from reveille.waiting_estimates(
      array(select c.queue from counted c where c.many_due or c.many_later)) e
  ), ids as materialized (
    select unnest(l.ids) as id from reveille.lease l limit 10001
  ), held as materialized (
    select j.queue, count(*) as jobs, (select count(*) from ids) > 10000 as estimated
    from ids cross join lateral (select j.queue from reveille.job j where j.id = ids.id limit 1) j
    group by j.queue
  )
  select n.name, q.name is not null or c.queue is not null, q.paused_at,
    coalesce(case when c.many_later then greatest(c.later, e.later::bigint) else c.later end, 0),
    coalesce(case when c.many_due then greatest(c.due, e.due::bigint) else c.due end, 0),
    coalesce(h.jobs, 0), c.oldest, coalesce(c.many_later, false), coalesce(c.many_due, false),
    coalesce(h.estimated, false)
  from unnest(names) with ordinality n (name, nth)
  left join reveille.queue q on q.name = n.name
  left join counted c on c.queue = n.name
  left join estimate e on e.queue = n.name
  left join held h on h.queue = n.name
  order by n.nth
$$;

comment on function reveille.queue_state is
  'How these queues stand: one row for each name, known or not.';
revoke all on function reveille.queue_state from public;
