-- Outcomes, each (lease, id) once, those of a lease together: the leases, uuid[], with the places
-- of the first and of the last of its outcomes in the arrays that follow, int[] and int[] (from 1);
-- ids uuid[], places int[] (where the claim put the id in the lease, from 1), endings text[]
-- (completed, failed, cancelled, retry, snooze, release, unbegun), delays float8[] (seconds until
-- the next attempt), run_ats timestamptz[] (where a job that did not begin stood before: its claim
-- leaves no trace and counts no attempt, however it ends), results jsonb[], errors jsonb[]; whether to notify of jobs that go
-- back to wait (on or off); and families bigint[], the failure families of those that fail. From
-- the endings on an array may be empty: no endings say that all completed, the others that no job
-- has such a value. A consequence of an array is not looked
-- for if that is empty, since each look costs a fiftieth of the statement. `job` is not named here,
-- so that its weeks cost nothing. Answers those that were accepted, with what became of them; the
-- others are stale. One row of nulls says that all were, and became what was asked for: it spares a
-- row for each.
--
-- Unique keys are not looked at, so that no holder of one can hold up an outcome. `key/superseded`
-- is asked before, and `key/free` frees keys afterwards.
--
-- Everything derives from the lease rows as they are once locked; reading the table again would
-- accept stale ids. A job that was cancelled meanwhile does not go back to `ready`. The place in
-- the lease is a guess that spares the search: it holds until a part of the lease is settled.
-- Without it the search of 250 ids among 250 took a third of the statement. Each lease cuts its
-- outcomes out of the arrays: to look for them among all took five times as long where a lease has
-- five.
with l as materialized (
  select x.*, array_position($1::uuid[], x.lease) as nth from reveille.lease x
  where x.lease = any ($1::uuid[]) and (select set_config('reveille.notify', $11::text, true)) is not null
  order by x.lease for update
), ok as materialized (
  select p.lease, p.worker, p.claimed_at, p.id, p.place, p.attempts[p.place] as attempt, p.crashes[p.place] as crashes,
    cardinality(p.ids) as size, p.ending, p.delay, p.run_at, p.result, p.error, p.family,
    case
      when p.ending is null or p.ending = 'completed' then 'completed'::reveille.end_state
      when p.ending = 'failed' then 'failed'
      when p.ending = 'cancelled' or p.id = any (p.cancels) then 'cancelled'
    end as state
  from (
    select l.*, o.id, o.ending, o.delay, o.run_at, o.result, o.error, o.family,
      case when l.ids[o.place] = o.id then o.place else array_position(l.ids, o.id) end as place
    from l cross join lateral (select ($2::integer[])[l.nth] as first, ($3::integer[])[l.nth] as last) s
    cross join lateral unnest(($4::uuid[])[s.first:s.last], ($5::integer[])[s.first:s.last], ($6::text[])[s.first:s.last],
      ($7::double precision[])[s.first:s.last], ($8::timestamptz[])[s.first:s.last], ($9::jsonb[])[s.first:s.last],
      ($10::jsonb[])[s.first:s.last], ($12::bigint[])[s.first:s.last]) o (id, place, ending, delay, run_at, result, error, family)
    offset 0
  ) p
  where p.place is not null
), taken as materialized (
  select lease, size, array_agg(place) as places from ok group by lease, size
), part as materialized (
  select * from taken where cardinality(places) < size
), rest as materialized (
  select l.lease, r.*
  from l join part t on t.lease = l.lease
  cross join lateral (
    select array_agg(l.ids[k.place] order by k.place) as ids, array_agg(l.attempts[k.place] order by k.place) as attempts,
      array_agg(l.crashes[k.place] order by k.place) as crashes
    from (select generate_subscripts(l.ids, 1) except select unnest(t.places)) k (place)
  ) r
), kept as (
  update reveille.lease x set ids = rest.ids, attempts = rest.attempts, crashes = rest.crashes from rest where x.lease = rest.lease
), emptied as (
  delete from reveille.lease x where x.lease = any (array(select lease from taken where cardinality(places) = size))
), ended as (
  insert into reveille.outcome (id, lease, worker, claimed_at, attempt, state, result, error, family)
  select id, case when run_at is null then lease end, case when run_at is null then worker end, case when run_at is null then claimed_at end,
    attempt - (run_at is not null)::integer, state, case when state = 'completed' then result end,
    case when state <> 'completed' then error end, case when state = 'failed' then family end
  from ok where state is not null
), tried as (
  insert into reveille.attempt (id, lease, worker, claimed_at, attempt, ending, error)
  select id, lease, worker, claimed_at, attempt, case ending when 'retry' then 'failed' when 'snooze' then 'snoozed' else 'released' end, error
  from ok where cardinality($6) > 0 and state is null and ending <> 'unbegun'
), back as (
  insert into reveille.ready (queue, task, priority, run_at, id, attempt, crashes, wakes)
  select j.queue, j.task, j.priority, coalesce(nullif(b.run_ats[j.place], 'infinity'), j.run_at), j.id, b.attempts[j.place],
    b.crashes[j.place], b.wakes[j.place]
  from (
    select array_agg(id) as ids, array_agg(attempt - (ending <> 'retry')::integer) as attempts, array_agg(crashes) as crashes,
      array_agg(case ending when 'unbegun' then run_at when 'release' then 'infinity' else now() + coalesce(delay, 0) * interval '1 second' end)
        as run_ats,
      array_agg((coalesce(delay, 0) < 120)::integer) as wakes
    from ok where cardinality($6) > 0 and state is null
  ) b
  cross join lateral reveille.jobs_found(b.ids) j
)
select x.lease, x.id, x.became
from (select count(*) = cardinality($4) and bool_and(ending is null or state is null or state::text = ending) as whole from ok) a
left join lateral (select lease, id, coalesce(state::text, ending) as became from ok where not a.whole offset 0) x on true
where a.whole or x.id is not null
