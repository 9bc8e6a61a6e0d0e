-- seconds float8. Operations on many jobs: how many are to be under way, and how many of
-- these have made no progress for so long. Then the one that has stood still longest.
select count(*) as open,
  count(*) filter (where s.still > $1::double precision) as still,
  max(s.still) as longest,
  (array_agg(s.id order by s.still desc))[1] as first
from (
  select o.id, extract(epoch from now() - greatest(o.worked_at, o.starts_at, o.next_at))::double precision as still
  from reveille.operation o where o.stopped_at is null and o.starts_at <= now()
    and coalesce(o.next_at <= now(), true)
) s
