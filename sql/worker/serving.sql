-- The queues (null: all of them) and tasks that live workers serve, each combination once. With it
-- stands how many jobs these workers ran at their last heartbeats, and in how many slots.
select w.queues, w.tasks, sum(w.running) as running, sum(w.slots) as slots from reveille.worker w
where w.heartbeat_at > now() - w.lost_after and cardinality(w.tasks) > 0
group by w.queues, w.tasks
