-- states text[], how long to keep each (seconds) float8[], from which end on to look timestamptz[],
-- the most of each state bigint. Forgets jobs that ended long enough ago, with all that is kept of
-- them. Answers for each state how many, and the last end. An operator's retry deletes the row in
-- `outcome`, as this does: one of the two finds it gone. A key that somebody has locked stays: that
-- of a job that is gone counts as free.
with c as materialized (
  select x.id from unnest($1::text[], $2::double precision[], $3::timestamptz[]) s (state, keep, since)
  cross join lateral (
    select o.id from reveille.outcome o
    where o.state = s.state::reveille.end_state and o.ended_at >= s.since and o.ended_at < now() - s.keep * interval '1 second'
    order by o.ended_at limit $4::bigint
  ) x
), o as (
  delete from reveille.outcome x using c where x.id = c.id returning x.id, x.state, x.ended_at
), j as (
  delete from reveille.job x using o where x.id = o.id returning x.id, x.unique_key is not null as keyed
), a as (
  delete from reveille.attempt x using o where x.id = o.id
), p as (
  delete from reveille.progress x using o where x.id = o.id
), s as (
  delete from reveille.superseded where id = any (array(select j.id from j where j.keyed))
), h as materialized (
  select k.id from j cross join lateral (
    select u.id from reveille.unique_key u where u.id = j.id and j.keyed limit 1 for update skip locked
  ) k
), k as (
  delete from reveille.unique_key x where x.id = any (array(select h.id from h))
)
select o.state::text, count(*), max(o.ended_at) from o group by o.state
