-- id uuid, limit bigint, the most bytes of errors bigint. Every attempt of a job, the newest first.
-- The one that runs comes from `lease`, the one that ended the job from `outcome`, earlier ones
-- from `attempt`. A job that ended without having begun, such as by a cancellation while it waited,
-- has none. No row: the job is unknown; a row without an attempt: it has had none.
with a as (
  select l.lease, l.worker, l.claimed_at, null::timestamptz as ended_at, null as worker_name, l.attempts[array_position(l.ids, $1::uuid)] as attempt,
    null as ending, null::jsonb as error
  from reveille.lease l where $1::uuid = any (l.ids)
  union all
  select o.lease, o.worker, o.claimed_at, o.ended_at, o.worker_name, o.attempt, o.state::text, o.error from reveille.outcome o
  where o.id = $1::uuid and o.claimed_at is not null
  union all
  select t.lease, t.worker, t.claimed_at, t.ended_at, t.worker_name, t.attempt,
    case when t.redriven_at is null then t.ending else 'redriven' end, t.error from reveille.attempt t
  where t.id = $1::uuid and t.claimed_at is not null
), e as (
  select a.*, lag(a.ended_at) over (order by a.claimed_at, a.lease) as ended_before, reveille.error_shown(a.error) as shown from a
), n as (
  select e.*, sum(octet_length(e.shown::text)) over (order by e.claimed_at desc, e.lease) as bytes from e
)
select n.attempt, n.lease, n.worker, coalesce(n.worker_name, w.name) as worker_name, n.claimed_at as started_at, n.ended_at as finished_at,
  n.ending as outcome, n.shown as error,
  greatest(0, extract(epoch from n.claimed_at
    - coalesce(n.ended_before, greatest(j.run_at, reveille.uuid7_time(j.id)))))::double precision as wait_seconds,
  extract(epoch from coalesce(n.ended_at, clock_timestamp()) - n.claimed_at)::double precision as run_seconds
from reveille.job j
left join n on true
left join reveille.worker w on w.id = n.worker
where j.id = $1::uuid and coalesce(n.bytes, 0) <= $3::bigint
order by n.claimed_at desc, n.lease limit $2::bigint
