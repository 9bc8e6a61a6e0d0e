-- ids uuid[], how many to keep bigint. Forgets all but the last snoozes of these jobs. The last one
-- then says how many there were: those that came since the one that said so before, and what that
-- one said.
with s as materialized (
  select a.id, a.lease, a.counted, row_number() over (partition by a.id order by a.ended_at desc, a.lease) as nth
  from unnest($1::uuid[]) u (id) cross join lateral (
    select x.id, x.lease, x.ended_at, (x.error ->> 'count')::bigint as counted from reveille.attempt x
    where x.id = u.id and x.ending = 'snoozed'
  ) a
), last as materialized (
  select s.id, (array_agg(s.lease order by s.nth))[1] as lease, max(s.nth - 1 + s.counted) as known, count(*) as rows
  from s group by s.id
), gone as (
  delete from reveille.attempt x using s where x.id = s.id and x.lease = s.lease and s.nth > $2::bigint
)
update reveille.attempt x set error = jsonb_build_object('code', 'snoozed', 'count', t.count,
  'message', 'the job has snoozed ' || t.count || ' times; the last ' || $2::bigint || ' are kept')
from (select l.id, l.lease, coalesce(l.known, l.rows) as count from last l where l.rows > $2::bigint) t
where x.id = t.id and x.lease = t.lease
