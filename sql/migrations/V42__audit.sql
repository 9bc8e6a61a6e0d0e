-- Who did what. A row is written in the transaction of its action, so an action that fails has none.
create table reveille.audit (
  id         uuid primary key,
  at         timestamptz not null default now(),
  principal  text not null,
  action     text not null,
  target     text not null,
  reason     text,
  request_id text
);
comment on table reveille.audit is
  'Who changed what, kept for 90 days. Function audit_write writes it.';
comment on column reveille.audit.id is 'A UUIDv7 of the same moment: the order of the list.';
comment on column reveille.audit.principal is
  'A kind and a name: token FINGERPRINT (8 hex digits of the SHA-256), role NAME, anonymous ADDRESS.';
comment on column reveille.audit.action is 'A verb and a noun, such as pause_queue.';
comment on column reveille.audit.target is 'A kind and a name, such as queue mail.';
comment on column reveille.audit.reason is 'The words of the caller. Of a redrive: its jobs; of a purge: its operation.';
comment on column reveille.audit.request_id is 'X-Request-Id, if the action came over HTTP.';
revoke all on reveille.audit from public;
