-- The tasks that some live worker serves, each once.
select distinct unnest(w.tasks) from reveille.worker w where w.heartbeat_at > now() - w.lost_after
