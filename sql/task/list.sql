-- name text (null: all). The tasks that are known, and how many live workers serve each.
select t.name, t.description, t.max_attempts, t.timeout_seconds, t.retry, t.payload_schema, t.result_schema, t.example,
  (select count(*) from reveille.worker w where t.name = any (w.tasks) and w.heartbeat_at > now() - w.lost_after) as workers
from reveille.task t
where $1::text is null or t.name = $1::text
order by t.name
