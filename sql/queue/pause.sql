-- name text, until timestamptz or seconds float8 (both null: until somebody ends it), reason,
-- principal, request id, action text. Nothing of this queue is claimed from now on; a queue that
-- nobody knows becomes known. Of a paused queue the end and the reason are replaced if one is
-- given. A row: that changed something.
with paused as (
  insert into reveille.queue as q (name, paused_at, pause_of, paused_until, pause_reason, paused_by)
  values ($1::text, now(), now(), coalesce($2::timestamptz, now() + $3::double precision * interval '1 second'),
    $4::text, coalesce($5::text, 'role ' || session_user))
  on conflict (name) do update
    set paused_at = coalesce(q.paused_at, excluded.paused_at),
      pause_of = coalesce(q.paused_at, excluded.paused_at), paused_until = excluded.paused_until,
      pause_reason = excluded.pause_reason, paused_by = excluded.paused_by, touched_at = now()
    where q.paused_at is null or num_nonnulls($2::timestamptz, $3::double precision, $4::text) > 0
  returning q.name, q.pause_reason
)
select reveille.audit_write($5::text, $7::text, 'queue ' || p.name, p.pause_reason, $6::text)
from paused p
