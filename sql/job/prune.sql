-- states text[], how long to keep each (seconds) float8[], from which end on to look timestamptz[],
-- the most of each state to look at bigint, queues text[] (null: all). Forgets jobs of these queues
-- that ended long enough ago, with all that is kept of them. Answers for each state how many it
-- looked at, the last end among these, and how many it forgot. An operator's retry deletes the row
-- in `outcome`, as this does: one of the two finds it gone. The key of a job that completed stays
-- until its window is over. Any other key that somebody has locked stays too: that of a job that is
-- gone counts as free. A key whose window goes on does not, so its job stays with it until the next
-- time.
with w as materialized (
  select s.state, x.id, x.ended_at from unnest($1::text[], $2::double precision[], $3::timestamptz[]) s (state, keep, since)
  cross join lateral (
    select o.id, o.ended_at from reveille.outcome o
    where o.state = s.state::reveille.end_state and o.ended_at >= s.since and o.ended_at < now() - s.keep * interval '1 second'
    order by o.ended_at limit $4::bigint
  ) x
), c as materialized (
  select w.state, w.id from w
  where $5::text[] is null or (select j.queue from reveille.job j where j.id = w.id limit 1) = any ($5::text[])
), h as materialized (
  select k.id, k.goes_on from c cross join lateral (
    select u.id, u.until > now() as goes_on from reveille.unique_key u where u.id = c.id limit 1
  ) k
  where c.state <> 'completed' or not coalesce(k.goes_on, false)
), f as materialized (
  select h.id, h.goes_on, k.id is not null as locked from h left join lateral (
    select u.id from reveille.unique_key u where u.id = h.id limit 1 for update skip locked
  ) k on true
), o as (
  delete from reveille.outcome x using c
  where x.id = c.id and x.id <> all (array(select f.id from f where f.goes_on and not f.locked))
  returning x.id, x.state, x.ended_at
), j as (
  delete from reveille.job x using o where x.id = o.id returning x.id, x.unique_key is not null as keyed, o.state
), a as (
  delete from reveille.attempt x using o where x.id = o.id
), p as (
  delete from reveille.progress x using o where x.id = o.id
), s as (
  delete from reveille.superseded where id = any (array(select j.id from j where j.keyed))
), k as (
  delete from reveille.unique_key x where x.id = any (array(select f.id from f join j on j.id = f.id where f.locked))
)
select w.state, count(*) as looked, max(w.ended_at) as since,
  (select count(*) from o where o.state::text = w.state) as forgotten
from w group by w.state
