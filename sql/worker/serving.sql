-- The queues (null: all of them) and tasks that live workers serve, each combination once.
select distinct w.queues, w.tasks from reveille.worker w where w.heartbeat_at > now() - w.lost_after and cardinality(w.tasks) > 0
