-- queue text (null: all). Every lane with jobs, and when its first is due: a loose index scan, so its price is that of the
-- lanes and not of the jobs.
with recursive lane as (
  (
    select queue, task, priority, run_at from reveille.ready
    where queue >= coalesce($1::text, '') order by queue, task, priority, run_at limit 1
  )
  union all
  select n.* from lane l cross join lateral (
    select r.queue, r.task, r.priority, r.run_at from reveille.ready r
    where (r.queue, r.task, r.priority) > (l.queue, l.task, l.priority)
    order by r.queue, r.task, r.priority, r.run_at limit 1
  ) n
  where $1::text is null or l.queue = $1::text
)
select queue, task, priority, run_at from lane where $1::text is null or queue = $1::text
