-- The queues that were paused within the last two minutes: longer than any claim takes.
select q.name from reveille.queue q where q.paused_at > now() - interval '2 minutes'
