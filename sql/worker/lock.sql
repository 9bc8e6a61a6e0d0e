-- worker uuid. Locks the row of a worker and reads its heartbeat again: whether it is lost, and its
-- name. No row: it is gone, or somebody else is about it.
select o.heartbeat_at < now() - o.lost_after, o.name from reveille.worker o where o.id = $1::uuid for update skip locked
