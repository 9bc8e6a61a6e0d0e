-- id uuid. Ends a job that waits; of one that is being processed asks its handler to stop, which
-- the holder is told of. Answers whether it ended here, the lease that holds it, and how it had
-- ended before. Nothing of these: it was moving, or is unknown. The key of a job that waits is
-- locked before the job.
with k as materialized (
  select from reveille.unique_key k
  where k.id = $1::uuid and exists (select from reveille.waiting r where r.id = $1::uuid) for update
), r as materialized (
  select w.id, w.attempt from (select count(*) >= 0 as locked from k) k
  cross join lateral reveille.waiting_take(array[$1::uuid], k.locked) w
), ended as (
  insert into reveille.outcome (id, attempt, state, error)
  select id, attempt, 'cancelled', '{"code": "cancelled", "message": "it was cancelled while it waited"}' from r
), l as (
  update reveille.lease set cancels = case when $1::uuid = any (cancels) then cancels else array_append(cancels, $1::uuid) end
  where $1::uuid = any (ids) and not exists (select from r) returning lease
), told as (
  select l.lease, pg_notify('reveille', 'cancel ' || l.lease || ' ' || $1::uuid) from l
), own as (
  delete from reveille.superseded where id = $1::uuid and exists (select from r)
), clock as (
  delete from reveille.expiry where id = $1::uuid and exists (select from r)
), left_key as materialized (
  select reveille.key_leave(r.id) from r where exists (select from k)
)
select exists (select from r), (select lease from told), (select o.state::text from reveille.outcome o where o.id = $1::uuid),
  exists (select from reveille.job j where j.id = $1::uuid), (select count(*) from left_key)
