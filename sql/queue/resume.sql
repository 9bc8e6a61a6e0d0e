-- name, principal, request id, action text. A row: it was paused.
with resumed as (
  update reveille.queue
  set paused_at = null, paused_until = null, paused_by = null, pause_reason = null,
    pause_of = null, touched_at = now()
  where name = $1::text and paused_at is not null
  returning name
)
select reveille.audit_write($2::text, $4::text, 'queue ' || r.name, null, $3::text)
from resumed r
