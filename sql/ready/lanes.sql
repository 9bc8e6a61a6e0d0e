-- queue text (null: all), and the lane to begin behind: queue text, task text, priority smallint;
-- the most lanes bigint. Lanes with jobs in their order, and when the first job of each is due.
-- This is a loose index scan, so its price is that of the lanes and not of the jobs. Each step
-- reads on for 16 jobs, and the next one begins behind the last lane of these. So lanes with a job
-- each share a probe of the index.
with recursive lane (queue, task, priority, run_at, reached) as (
  (
    select x.queue, x.task, x.priority, min(x.run_at), max(x.nth)
    from (
      select r.*, row_number() over () as nth from (
        select r.queue, r.task, r.priority, r.run_at from reveille.ready r
        where (r.queue, r.task, r.priority) > ($2::text, $3::text, $4::smallint)
        order by r.queue, r.task, r.priority, r.run_at limit 16
      ) r
    ) x group by x.queue, x.task, x.priority order by x.queue, x.task, x.priority
  )
  union all
  select n.* from lane l cross join lateral (
    select x.queue, x.task, x.priority, min(x.run_at), max(x.nth)
    from (
      select r.*, row_number() over () as nth from (
        select r.queue, r.task, r.priority, r.run_at from reveille.ready r
        where (r.queue, r.task, r.priority) > (l.queue, l.task, l.priority)
        order by r.queue, r.task, r.priority, r.run_at limit 16
      ) r
    ) x group by x.queue, x.task, x.priority order by x.queue, x.task, x.priority
  ) n
  where l.reached = 16 and ($1::text is null or l.queue = $1::text)
)
select queue, task, priority, run_at from lane
where $1::text is null or queue = $1::text limit $5::bigint
