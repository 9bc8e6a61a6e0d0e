-- The queues that are paused, and what is known of that. What is known of a pause before does not
-- count.
select q.name, q.paused_at, p.paused_until, p.paused_by, p.pause_reason
from reveille.queue q
left join reveille.queue p on p.name = q.name and p.pause_of = q.paused_at
where q.paused_at is not null
