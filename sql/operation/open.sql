-- Operations that have not ended, the oldest first, and in how many seconds each is to come on.
select o.id,
  extract(epoch from greatest(o.starts_at, o.next_at) - clock_timestamp())::double precision
from reveille.operation o where o.stopped_at is null order by o.id limit 100
