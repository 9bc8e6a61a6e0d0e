-- id uuid. Forgets a job that waits or has ended, with all that is kept of it. Answers whether it
-- did, whether a lease holds the job, and whether there is such a job. Only the last of these: it
-- was moving; look again in a new statement. Claims, cancellations, retries and deletions take the
-- job's row where it waits, or in `outcome`, first. Before that this locks the key, unless the job is being
-- processed.
with k as materialized (
  select from reveille.unique_key k where k.id = $1::uuid and (exists (select from reveille.waiting r where r.id = $1::uuid)
    or exists (select from reveille.outcome o where o.id = $1::uuid)) for update
), r as materialized (
  select w.id from (select count(*) >= 0 as locked from k) k
  cross join lateral reveille.waiting_take(array[$1::uuid], k.locked) w
), o as (
  delete from reveille.outcome where id = $1::uuid and (select count(*) from k) >= 0 returning id
), gone as (
  select id from r union all select id from o
), j as (
  delete from reveille.job where id = $1::uuid and exists (select from gone)
), a as (
  delete from reveille.attempt where id = $1::uuid and exists (select from gone)
), left_key as materialized (
  select reveille.key_leave(r.id) from r where exists (select from k)
), u as (
  delete from reveille.unique_key x using o where x.id = o.id
), s as (
  delete from reveille.superseded where id = $1::uuid and exists (select from gone)
), clock as (
  delete from reveille.expiry where id = $1::uuid and exists (select from gone)
), p as (
  delete from reveille.progress where id = $1::uuid and exists (select from gone)
)
select exists (select from gone), exists (select from reveille.lease l where $1::uuid = any (l.ids)),
  exists (select from reveille.job j where j.id = $1::uuid), (select count(*) from left_key)
