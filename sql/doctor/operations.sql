-- seconds float8. Operations on many jobs that are to be under way, and those of them that have not
-- made progress for so long, and for how long the worst of them has made none.
select count(*) as open,
  count(*) filter (where s.still > $1::double precision) as still,
  max(s.still) as longest,
  (array_agg(s.id order by s.still desc))[1] as first
from (
  select o.id, extract(epoch from now() - greatest(o.worked_at, o.starts_at, o.next_at))::double precision as still
  from reveille.operation o where o.stopped_at is null and o.starts_at <= now()
    and coalesce(o.next_at <= now(), true)
) s
