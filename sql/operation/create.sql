-- id uuid, kind text, filter jsonb, bound uuid, rate float8, created_at timestamptz, delay float8
-- (seconds until it starts), matched bigint, whether that is an estimate boolean, canary jsonb,
-- principal text (null: the session's role), request id text, and of the audit: action, target and
-- reason text. Asks for an operation, notes who did, and tells the leader.
with made as materialized (
  insert into reveille.operation (id, kind, filter, id_bound, rate, created_at, starts_at, matched,
    matched_estimated, canary, principal)
  values ($1::uuid, $2::text, $3::jsonb, $4::uuid, $5::double precision, $6::timestamptz,
    now() + $7::double precision * interval '1 second', $8::bigint, $9::boolean, $10::jsonb,
    coalesce($11::text, 'role ' || session_user))
  returning 1
)
select pg_notify('reveille', 'operation'), reveille.audit_write($11::text, $13::text, $14::text,
  $15::text, $12::text)
from made
