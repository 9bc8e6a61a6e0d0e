-- A statement that changes something calls it once for each change that it made, or does not make
-- it: `with changed as (update … returning …) select reveille.audit_write(…) from changed`.
create or replace function reveille.audit_write(
  principal text, action text, target text, reason text, request_id text
) returns void
language sql volatile as $$
  insert into reveille.audit (id, principal, action, target, reason, request_id)
  values (reveille.uuid7(reveille.uuid7_ticks(now()), reveille.uuid7_seed(), 0),
    coalesce($1, 'role ' || session_user), $2, $3, $4, $5)
$$;

comment on function reveille.audit_write is
  'Notes who did what, in the transaction that does it. Principal null: the role of the session.';
revoke all on function reveille.audit_write from public;
