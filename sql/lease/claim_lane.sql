-- As `claim`, of one lane, which is what most claims are: queue text, task text, priority smallint,
-- its lower bound (run_at timestamptz, id uuid) and the most jobs, bigint; worker uuid; the most of
-- one lease, int. Here all places can be deleted in one scan, since none has to be told from which
-- lane it is (a claim takes 0.8 to 0.85 of the time).
with q as materialized (
  select from reveille.queue q where q.name = $1::text and q.paused_at is not null
), c as materialized (
  select x.ctid as place from reveille.ready x
  where x.queue = $1::text and x.task = $2::text and x.priority = $3::smallint and (x.run_at, x.id) >= ($4::timestamptz, $5::uuid)
    and x.run_at <= now() and x.crashes < 2 and not exists (select from q)
  order by x.run_at, x.id limit $6::bigint for update skip locked
), d as (
  delete from reveille.ready x where x.ctid = any (array(select c.place from c)) returning x.id, x.run_at, x.attempt + 1 as attempt, x.crashes, x.payload
), a as (
  select array_agg(id) as ids, array_agg(attempt) as attempts, array_agg(crashes) as crashes
  from (select id, attempt, crashes from d order by run_at, id) d
), l as (
  insert into reveille.lease (lease, worker, ids, attempts, crashes)
  select gen_random_uuid(), $7::uuid, a.ids[n:n + $8 - 1], a.attempts[n:n + $8 - 1], a.crashes[n:n + $8 - 1]
  from a cross join generate_series(1, cardinality(a.ids), $8::integer) n
  returning lease, ids
)
select 1::bigint as nth, run_at, id, attempt, crashes, payload, null::integer as max_attempts, null::double precision as timeout_seconds,
  false as keyed, null::uuid as replacement, null::uuid as lease, null::uuid[] as ids, null::text as held,
  null::jsonb as settings
from d where payload is not null
union all
select 1, e.run_ats[j.place], j.id, e.attempts[j.place], e.crashes[j.place], j.payload, j.max_attempts, j.timeout_seconds,
  j.unique_key is not null,
  case when j.unique_key is not null then (select s.replacement from reveille.superseded s where s.id = j.id) end, null, null, null,
  j.settings
from (
  select array_agg(id) as ids, array_agg(run_at) as run_ats, array_agg(attempt) as attempts, array_agg(crashes) as crashes
  from d where payload is null
) e
cross join lateral reveille.jobs_found(e.ids) j
union all
select null, null, null, null, null, null, null, null, null, null, lease, ids, null, null from l
union all
select 1, n.run_at, null, null, null, null, null, null, null, null, null, null, null, null
from (
  select x.run_at from reveille.ready x
  where x.queue = $1 and x.task = $2 and x.priority = $3 and x.run_at > now()
    and not exists (select from q) and (select coalesce(cardinality(ids), 0) from a) < $6
  order by x.run_at limit 1
) n
union all
select 1, null, null, null, null, null, null, null, null, null, null, null, 'pause', null from q
