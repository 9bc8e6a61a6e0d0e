-- Every process of the service that has not said goodbye, the oldest first.
select w.id, w.name, w.host, w.pid, w.version, w.started_at, w.heartbeat_at, w.heartbeat_at > now() - w.lost_after as alive,
  w.slots, w.running, w.draining, w.queues, w.tasks,
  exists (select from reveille.leader l where l.worker = w.id and l.until > now()) as leader
from reveille.worker w
order by w.started_at, w.id
