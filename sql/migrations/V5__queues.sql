-- Queues as people see them.

-- How many jobs of a queue the planner believes to wait, due or to come. For counts that nobody wants to count out.
create function reveille.waiting_estimate(queue text, due boolean) returns bigint
language plpgsql volatile as $$
declare
  plan jsonb;
begin
  execute format('explain (format json) select from reveille.ready where queue = %L and run_at %s now()',
    queue, case when due then '<=' else '>' end) into plan;
  return (plan -> 0 -> 'Plan' ->> 'Plan Rows')::numeric::bigint;
end $$;

-- How these queues stand: one row for each name, known or not. Cheap however many jobs wait: it goes by lanes, each a range of
-- an index, and stops counting at 10,000. Jobs that have ended are not counted, because nothing finds them by queue.
-- The plan is pinned, since statistics of a queue are old as soon as they are taken.
create function reveille.queue_state(names text[]) returns table (
  name text, known boolean, paused_at timestamptz, scheduled bigint, queued bigint, processing bigint, oldest_waiting_at timestamptz,
  scheduled_estimated boolean, queued_estimated boolean, processing_estimated boolean
) language sql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  with recursive lane as (
    select f.* from unnest(names) n (name) cross join lateral (
      select r.queue, r.task, r.priority, r.run_at from reveille.ready r
      where r.queue = n.name order by r.queue, r.task, r.priority, r.run_at limit 1
    ) f
    union all
    select x.* from lane l cross join lateral (
      select r.queue, r.task, r.priority, r.run_at from reveille.ready r
      where r.queue = l.queue and (r.task, r.priority) > (l.task, l.priority)
      order by r.queue, r.task, r.priority, r.run_at limit 1
    ) x
  ), ids as materialized (
    select unnest(l.ids) as id from reveille.lease l limit 10001
  ), held as materialized (
    select j.queue, count(*) as jobs, (select count(*) from ids) > 10000 as estimated
    from ids cross join lateral (select j.queue from reveille.job j where j.id = ids.id limit 1) j
    group by j.queue
  )
  select n.name, q.name is not null or exists (select from lane where lane.queue = n.name), q.paused_at,
    case when s.jobs > 10000 then greatest(s.jobs, reveille.waiting_estimate(n.name, false)) else s.jobs end,
    case when d.jobs > 10000 then greatest(d.jobs, reveille.waiting_estimate(n.name, true)) else d.jobs end,
    coalesce(h.jobs, 0),
    (select min(lane.run_at) from lane where lane.queue = n.name and lane.run_at <= now()),
    s.jobs > 10000, d.jobs > 10000, coalesce(h.estimated, false)
  from unnest(names) with ordinality n (name, nth)
  left join reveille.queue q on q.name = n.name
  left join held h on h.queue = n.name
  cross join lateral (
    select count(*) as jobs from (
      select from lane l cross join lateral (
        select from reveille.ready r where r.queue = l.queue and r.task = l.task and r.priority = l.priority and r.run_at > now() limit 10001
      ) r where l.queue = n.name limit 10001
    ) c
  ) s
  cross join lateral (
    select count(*) as jobs from (
      select from lane l cross join lateral (
        select from reveille.ready r where r.queue = l.queue and r.task = l.task and r.priority = l.priority and r.run_at <= now() limit 10001
      ) r where l.queue = n.name and l.run_at <= now() limit 10001
    ) c
  ) d
  order by n.nth
$$;

revoke all on function reveille.waiting_estimate(text, boolean), reveille.queue_state(text[]) from public;
