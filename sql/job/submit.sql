-- ids uuid[], queues text[], tasks text[], priorities smallint[], run_ats timestamptz[] and delays
-- float8[] (seconds; both null: now), payloads jsonb[], max_attempts int[], timeouts float8[], tags
-- jsonb[], settings jsonb[]. A shorter array counts as nulls. And a list of its own, notes text[]:
-- what to notify of, `lane QUEUE TASK PRIORITY` or `queue QUEUE`. The ids are made before. So a
-- repeated call after a lost answer fails rather than inserts anything twice.
--
-- A small payload also goes beside the row that waits, if a claim needs nothing else of the job
-- (see ready.payload).
--
-- It notifies by itself, because it is a transaction of its own and the deferred trigger `wake`
-- would cost more. Services have a gate for each lane and 100 ms of their own, beside the two of
-- the trigger. It is taken when all rows are there, and its holder is soon done. A holder that
-- fails at its commit takes no notice with it, since statements of services end as they began.
-- There is no spare gate: two that notify wait for each other's flush, and then 64 callers got half
-- as much written. A queue is not looked at again, so a notice of a queue passes no gate.
with u as materialized (
  select u.id, u.queue, u.task, u.priority,
    coalesce(u.run_at, now() + coalesce(u.delay, 0) * interval '1 second') as run_at, u.payload,
    u.max_attempts, u.timeout, u.tags, u.settings
  from unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[], $5::timestamptz[],
      $6::double precision[], $7::jsonb[], $8::integer[], $9::double precision[], $10::jsonb[],
      $11::jsonb[])
    u (id, queue, task, priority, run_at, delay, payload, max_attempts, timeout, tags, settings)
), j as (
  insert into reveille.job (id, queue, task, priority, run_at, payload, max_attempts,
    timeout_seconds, tags, settings)
  select id, queue, task, priority, run_at, payload, max_attempts, timeout,
    reveille.tag_array(tags), settings
  from u
  returning 1
), e as (
  insert into reveille.expiry (id, since, at)
  select id, now(), reveille.expiry_at(now(), settings) from u
  where reveille.is_timed(settings)
), r as (
  insert into reveille.ready (queue, task, priority, run_at, id, payload)
  select queue, task, priority, run_at, id,
    case when pg_column_size(payload) <= 128 and max_attempts is null and timeout is null
      and settings is null then payload end
  from u
  returning 1
)
select pg_notify('reveille', note) from unnest($12::text[]) note
where (select count(*) from j) + (select count(*) from r) > 0
  and (note like 'queue %'
    or pg_try_advisory_xact_lock(reveille.gate_key(substr(note, 6), clock_timestamp()) # 2))
