-- The queues that are paused.
select q.name from reveille.queue q where q.paused_at is not null
