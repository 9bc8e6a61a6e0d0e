-- The operations that are due next, and in how many seconds each is. More than these are read once
-- they are due. Due operations come in a random order, so that a hundred that wait for their jobs
-- do not keep the others.
select o.id,
  extract(epoch from greatest(o.starts_at, o.next_at) - clock_timestamp())::double precision
from reveille.operation o where o.stopped_at is null
order by greatest(o.starts_at, o.next_at, now()), random() limit 100
