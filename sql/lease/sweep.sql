-- The queue to begin with, text; tasks text[]; worker uuid; the most rows that are read, bigint;
-- the most of one lease, int. As `claim`, of all lanes of whole queues in their order, known or
-- not. Rows are read as they come in the index, so that a lane costs no probe.
--
-- Their number is bounded whatever they are. The queue with the last of them may have more:
-- nothing is taken of it, and a row with its name alone says where the next sweep begins. A lane
-- is named by its three columns instead of a place. There is a row for each job to come, and for
-- each job of a queue that is paused. Queues are looked up only if any is paused: those probes
-- took a third of the statement.
with x as materialized (
  select r.ctid as place, r.queue, r.task, r.priority, r.run_at, r.crashes from reveille.ready r
  where r.queue >= $1::text order by r.queue, r.task, r.priority, r.run_at, r.id limit $4::bigint
), stop as materialized (
  select queue from x offset $4::bigint - 1 limit 1
), b as materialized (
  select x.place, x.queue, x.task, x.priority, x.run_at, x.crashes,
    (select exists (select from reveille.queue q where q.paused_at is not null))
      and coalesce(
        (select q.paused_at is not null from reveille.queue q where q.name = x.queue), false
      ) as paused
  from x
  where (x.queue < (select queue from stop)) is not false and x.task = any ($2::text[])
), c as materialized (
  select r.ctid as place
  from b join reveille.ready r on r.ctid = b.place
  where not b.paused and b.run_at <= now() and b.crashes < 2 and r.run_at <= now() and r.crashes < 2
  for update of r skip locked
), d as (
  delete from reveille.ready r where r.ctid = any (array(select place from c))
  returning r.queue, r.task, r.priority, r.id, r.run_at, r.attempt + 1 as attempt, r.crashes,
    r.payload
), o as materialized (
  select * from d order by queue, priority, task, run_at, id
), a as (
  select array_agg(id) as ids, array_agg(attempt) as attempts, array_agg(crashes) as crashes from o
), l as (
  insert into reveille.lease (lease, worker, ids, attempts, crashes)
  select gen_random_uuid(), $3::uuid, a.ids[n:n + $5 - 1], a.attempts[n:n + $5 - 1],
    a.crashes[n:n + $5 - 1]
  from a cross join generate_series(1, cardinality(a.ids), $5::integer) n
  returning lease, ids
)
select null::bigint as nth, run_at, id, attempt, crashes, payload, null::integer as max_attempts,
  null::double precision as timeout_seconds, false as keyed, null::uuid as replacement,
  null::uuid as lease, null::uuid[] as ids, null::text as held, null::jsonb as settings, queue, task,
  priority
from o where payload is not null
union all
select null, e.run_ats[j.place], j.id, e.attempts[j.place], e.crashes[j.place], j.payload,
  j.max_attempts, j.timeout_seconds, j.unique_key is not null,
  case when j.unique_key is not null
    then (select s.replacement from reveille.superseded s where s.id = j.id) end,
  null, null, null, j.settings, e.queues[j.place], e.tasks[j.place], e.priorities[j.place]
from (
  select array_agg(id) as ids, array_agg(run_at) as run_ats, array_agg(attempt) as attempts,
    array_agg(crashes) as crashes, array_agg(queue) as queues, array_agg(task) as tasks,
    array_agg(priority) as priorities
  from o where payload is null
) e
cross join lateral reveille.jobs_found(e.ids) j
union all
select null, null, null, null, null, null, null, null, null, null, lease, ids, null, null, null,
  null, null
from l
union all
select null, run_at, null, null, null, null, null, null, null, null, null, null, null, null, queue,
  task, priority
from b where not paused and run_at > now()
union all
select null, null, null, null, null, null, null, null, null, null, null, null, 'pause', null, queue,
  task, priority
from b where paused
union all
select null, null, null, null, null, null, null, null, null, null, null, null, null, null, queue,
  null, null
from stop
