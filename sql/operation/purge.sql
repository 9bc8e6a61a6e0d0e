-- queue text, bound uuid, the place to go on behind: task text, priority smallint, run_at
-- timestamptz, id uuid; the most jobs bigint. Cancels jobs of a queue that wait. A job is passed by
-- if others have locked its row or its unique key. A key is locked before its job. Answers each job
-- that it ended; then how many it looked at, how many it passed by, and the last place.
with l as materialized (
  select r.task, r.priority, r.run_at, r.id, row_number() over () as nth from (
    select r.* from reveille.waiting r
    where r.queue = $1::text
      and (r.task, r.priority, r.run_at, r.id) > ($3::text, $4::smallint, $5::timestamptz, $6::uuid)
    order by r.queue, r.task, r.priority, r.run_at, r.id limit $7::bigint
  ) r
), k as materialized (
  -- A single value, because the planner would make a hash of all that EXISTS could find.
  select l.id, coalesce(
    (select true from reveille.unique_key k where k.id = l.id limit 1), false) as keyed
  from l where l.id <= $2::uuid
), t as materialized (
  select k.id from k cross join lateral (
    select x.id from reveille.unique_key x where x.id = k.id limit 1 for update skip locked
  ) x
  where k.keyed
), a as materialized (
  select k.id from k where not k.keyed or exists (select from t where t.id = k.id)
), r as materialized (
  select w.id from reveille.waiting_end(array(select a.id from a order by a.id), 'cancelled', array(
    select '{"code": "purged", "message": "its queue was purged while it waited"}'::jsonb from a
  )) w
), own as (
  delete from reveille.superseded x where x.id = any (array(select r.id from r))
), clock as (
  delete from reveille.expiry x where x.id = any (array(select r.id from r))
), left_key as materialized (
  select reveille.key_leave(r.id) from r join t on t.id = r.id
)
select array(select r.id from r) as ended, (select count(*) from l) as looked,
  (select count(*) from k) - (select count(*) from r) as passed,
  z.task, z.priority, z.run_at, z.id, (select count(*) from left_key) as freed
from (select) one left join lateral (select * from l order by l.nth desc limit 1) z on true
