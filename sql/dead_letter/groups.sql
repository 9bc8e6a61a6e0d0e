-- families bigint[], failed at or after and before timestamptz (null: any), the most jobs of a
-- family to count bigint. How many jobs each family has, and when the first and the last of them
-- failed. Where there are more than are counted, the oldest are. Then `oldest` and `newest` tell
-- between which submissions these lie, and `last` which job of the family is the newest.
select u.family, count(*) as jobs, count(*) >= $4::bigint as cut, min(c.ended_at) as first_at,
  greatest(max(c.ended_at), max(n.ended_at)) as last_at,
  reveille.uuid7_time((array_agg(c.id order by c.id))[1]) as oldest,
  reveille.uuid7_time((array_agg(c.id order by c.id desc))[1]) as newest,
  reveille.uuid7_time((array_agg(n.id))[1]) as last
from unnest($1::bigint[]) u (family)
cross join lateral (
  select o.id, o.ended_at from reveille.outcome o
  where o.state = 'failed' and o.family = u.family
    and ($2::timestamptz is null or o.ended_at >= $2::timestamptz)
    and ($3::timestamptz is null or o.ended_at < $3::timestamptz)
  order by o.id limit $4::bigint
) c
cross join lateral (
  select o.id, o.ended_at from reveille.outcome o
  where o.state = 'failed' and o.family = u.family
    and ($2::timestamptz is null or o.ended_at >= $2::timestamptz)
    and ($3::timestamptz is null or o.ended_at < $3::timestamptz)
  order by o.id desc limit 1
) n
group by u.family
