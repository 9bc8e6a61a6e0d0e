-- id uuid, principal text (null: the session's role), request id, action text. Ends an operation
-- that has not ended, and notes who did. No row: it has, or there is none.
with o as (
  update reveille.operation o set stopped_at = clock_timestamp(), outcome = 'stopped',
    reason = 'stopped by ' || coalesce($2::text, 'role ' || session_user)
  where o.id = $1::uuid and o.stopped_at is null returning o.id
), c as (
  delete from reveille.canary c using o where c.operation = o.id
)
select o.id, reveille.audit_write($2::text, $4::text, 'operation ' || o.id, null, $3::text)
from o
