-- First answers to submissions with an Idempotency-Key. Services of the release before neither read
-- nor write them.
create table reveille.idempotency (
  principal   text collate "C" not null,
  path        text collate "C" not null,
  key         text collate "C" not null,
  fingerprint bytea not null,
  ids         uuid[] not null,
  statuses    text[] not null,
  outcomes    text[] not null,
  at          timestamptz not null default clock_timestamp(),
  primary key (principal, path, key)
);
create index idempotency_at on reveille.idempotency (at);
comment on table reveille.idempotency is
  'First answers to submissions with an Idempotency-Key, written with their jobs.';
comment on column reveille.idempotency.principal is 'Who submitted. Keys of others are other keys.';
comment on column reveille.idempotency.path is 'The path of the request.';
comment on column reveille.idempotency.fingerprint is
  'The SHA-256 of the jobs, each spelt one way. Another one beside the same key is refused.';
comment on column reveille.idempotency.ids is 'The jobs, in the order of the request.';
comment on column reveille.idempotency.statuses is 'Their statuses, as they were told.';
comment on column reveille.idempotency.outcomes is 'Their outcomes, as they were told.';
comment on column reveille.idempotency.at is 'The time of the first answer, from which it is kept.';
revoke all on reveille.idempotency from public;
