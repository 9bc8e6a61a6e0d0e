-- id uuid. Sends a job that has ended back to wait, with fresh attempts; how it had ended goes to its history. Answers whether
-- it did, and who holds its unique key now (null: it does, or it has none).
-- The lock is for the partitions of its week: while they are being removed, the job is gone already.
with o as (
  select o.* from reveille.outcome o
  where o.id = $1::uuid and pg_try_advisory_xact_lock_shared(79, reveille.week_number(reveille.uuid7_time($1::uuid))) for update
), j as (
  select j.* from reveille.job j join o on o.id = j.id
), k as (
  insert into reveille.unique_key (queue, key, id) select j.queue, j.unique_key, j.id from j where j.unique_key is not null
  on conflict do nothing returning id
), free as (
  select j.* from j where j.unique_key is null or exists (select from k)
), gone as (
  delete from reveille.outcome x using free where x.id = free.id
), tried as (
  insert into reveille.attempt (id, lease, worker, claimed_at, ended_at, attempt, ending, result, error)
  select o.id, coalesce(o.lease, gen_random_uuid()), o.worker, o.claimed_at, o.ended_at, o.attempt, o.state::text, o.result, o.error
  from o join free on free.id = o.id
), back as (
  insert into reveille.ready (queue, task, priority, run_at, id, wakes)
  select queue, task, priority, now(), id, 1 from free
)
select exists (select from free),
  (select u.id from reveille.unique_key u join j on u.queue = j.queue and u.key = j.unique_key where not exists (select from free))
