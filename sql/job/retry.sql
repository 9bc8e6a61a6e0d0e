-- id uuid. Sends a job that has ended back to wait, with fresh attempts; how it had ended goes to
-- its history. Answers whether it did, and who holds its unique key instead (null: nobody). It also
-- answers whether the job has a key, which it holds now even if it was not sent back. The locks are
-- for the partitions of its week: while they are being removed, the job is gone already. The second
-- one is for services of the release before.
with t as materialized (
  select j.*, case when j.unique_key is not null then reveille.key_take(j.queue, j.unique_key, j.id) end as holder
  from (select x.* from reveille.job x where x.id = $1::uuid and exists (select from reveille.outcome o where o.id = x.id) limit 1) j
), w as materialized (
  select w.number from reveille.week w
  where w.number = reveille.week_number(reveille.uuid7_time($1::uuid)) and w.removing_since is null for share
), o as materialized (
  select o.* from reveille.outcome o
  where o.id = $1::uuid and exists (select from t where t.holder is null or t.holder = t.id)
    and exists (select from w where pg_try_advisory_xact_lock_shared(79, w.number)
      or not exists (select from reveille.old_lock_holders(79, w.number) h where h.counts)) for update
), gone as (
  delete from reveille.outcome x using o where x.id = $1::uuid
), own as (
  delete from reveille.superseded where id = $1::uuid and exists (select from o)
), tried as (
  insert into reveille.attempt (id, lease, worker, worker_name, claimed_at, ended_at, attempt, ending, result, error)
  select o.id, coalesce(o.lease, gen_random_uuid()), o.worker, o.worker_name, o.claimed_at, o.ended_at, o.attempt, o.state::text, o.result, o.error
  from o
), begun as materialized (
  select reveille.life_begin(array[o.id]) from o
), back as (
  insert into reveille.ready (queue, task, priority, run_at, id, wakes)
  select t.queue, t.task, t.priority, now(), t.id, 1 from t join o on o.id = t.id
)
select exists (select from o), (select t.holder from t where t.holder <> t.id),
  exists (select from t where t.holder = t.id), (select count(*) from begun)
