-- name, principal, request id text. Nothing of this queue is claimed from now on; a queue that nobody
-- knows becomes known. A row: it was not paused.
with paused as (
  insert into reveille.queue (name, paused_at) values ($1::text, now())
  on conflict (name) do update set paused_at = excluded.paused_at where queue.paused_at is null
  returning name
)
select reveille.audit_write($2::text, 'pause_queue', 'queue ' || p.name, null, $3::text) from paused p
