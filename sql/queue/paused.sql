-- The queues that are paused, and what is known of that.
select q.name, q.paused_at, case when q.paused_until > q.paused_at then q.paused_until end as paused_until,
  q.paused_by, q.pause_reason
from reveille.queue q where q.paused_at is not null
