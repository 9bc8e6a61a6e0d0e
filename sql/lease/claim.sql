-- Lanes (queues text[], tasks text[], priorities smallint[]), in the order that fairness gives,
-- each with its lower bound (run_ats timestamptz[], ids uuid[]) and the most it may give (int[]);
-- worker uuid; the most in all, bigint; the most of one lease, int. Answers the claimed jobs, and
-- the leases with their ids. For each lane that was read to its end and has a job to come, it
-- answers when that is due. For each lane that is held, it answers by what and until when (null:
-- until somebody ends it). A job that has its payload beside it needs no look at `job`, which is
-- not named here, so that its weeks cost nothing. A job with a unique key is looked up among those
-- that were superseded: it ends instead of running.
with asked as materialized (
  select u.*, q.paused_at is not null as paused
  from unnest($1::text[], $2::text[], $3::smallint[], $4::timestamptz[], $5::uuid[], $6::integer[]) with ordinality
    u (queue, task, priority, run_at, id, most, nth)
  left join reveille.queue q on q.name = u.queue
), b as materialized (
  select * from asked where not paused
), c as materialized (
  select b.nth, r.place
  from b cross join lateral (
    select x.ctid as place from reveille.ready x
    where x.queue = b.queue and x.task = b.task and x.priority = b.priority and (x.run_at, x.id) >= (b.run_at, b.id)
      and x.run_at <= now() and x.crashes < 2
    order by x.run_at, x.id limit b.most for update skip locked
  ) r
  limit $8::bigint
), d as (
  delete from reveille.ready x using c where x.ctid = c.place returning c.nth, x.id, x.run_at, x.attempt + 1 as attempt, x.crashes, x.payload
), g as materialized (
  select nth, count(*) as got from d group by nth
), a as (
  select array_agg(id) as ids, array_agg(attempt) as attempts, array_agg(crashes) as crashes from d
), l as (
  insert into reveille.lease (lease, worker, ids, attempts, crashes)
  select gen_random_uuid(), $7::uuid, a.ids[n:n + $9 - 1], a.attempts[n:n + $9 - 1], a.crashes[n:n + $9 - 1]
  from a cross join generate_series(1, cardinality(a.ids), $9::integer) n
  returning lease, ids
)
select nth, run_at, id, attempt, crashes, payload, null::integer as max_attempts, null::double precision as timeout_seconds,
  false as keyed, null::uuid as replacement, null::uuid as lease, null::uuid[] as ids, null::text as held,
  null::jsonb as settings
from d where payload is not null
union all
select e.nths[j.place], e.run_ats[j.place], j.id, e.attempts[j.place], e.crashes[j.place], j.payload, j.max_attempts,
  j.timeout_seconds, j.unique_key is not null,
  case when j.unique_key is not null then (select s.replacement from reveille.superseded s where s.id = j.id) end, null, null, null,
  j.settings
from (
  select array_agg(nth) as nths, array_agg(id) as ids, array_agg(run_at) as run_ats, array_agg(attempt) as attempts,
    array_agg(crashes) as crashes
  from d where payload is null
) e
cross join lateral reveille.jobs_found(e.ids) j
union all
select null, null, null, null, null, null, null, null, null, null, lease, ids, null, null from l
union all
select b.nth, x.run_at, null, null, null, null, null, null, null, null, null, null, null, null
from b cross join lateral (
  select r.run_at from reveille.ready r
  where r.queue = b.queue and r.task = b.task and r.priority = b.priority and r.run_at > now()
  order by r.run_at limit 1
) x
where coalesce((select sum(got) from g), 0) < $8::bigint
  or b.nth < (select max(nth) from g) and coalesce((select got from g where g.nth = b.nth), 0) < b.most
union all
select nth, null, null, null, null, null, null, null, null, null, null, null, 'pause', null from asked where paused
