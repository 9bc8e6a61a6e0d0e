-- queues text[] (null: all), tasks text[], worker uuid. Claims the suspect that is due first: one
-- job, in a lease of its own.
with c as materialized (
  select x.id from reveille.ready x
  where x.crashes >= 2 and x.run_at <= now() and x.task = any ($2::text[])
    and ($1::text[] is null or x.queue = any ($1::text[]))
    and not exists (select from reveille.queue q where q.name = x.queue and q.paused_at is not null)
  order by x.run_at, x.id limit 1 for update of x skip locked
), d as (
  delete from reveille.ready x using c where x.id = c.id returning x.id, x.run_at, x.attempt + 1 as attempt, x.crashes
), l as (
  insert into reveille.lease (lease, worker, ids, attempts, crashes)
  select gen_random_uuid(), $3::uuid, array[id], array[attempt], array[crashes] from d
  returning lease
)
select 1::bigint as nth, d.run_at, d.id, d.attempt, d.crashes, j.payload, j.max_attempts, j.timeout_seconds,
  j.unique_key is not null as keyed, (select s.replacement from reveille.superseded s where s.id = d.id) as replacement,
  l.lease, j.queue, j.task, j.settings, j.priority
from d cross join l cross join lateral reveille.jobs_found(array[d.id]) j
