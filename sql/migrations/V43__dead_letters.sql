-- Jobs that failed are grouped by the way they failed. A job that completed has no value here and
-- no entry of the index. Rows of the release before have no family yet: they lie at the end of the
-- index, and the leader finds theirs out.
alter table reveille.outcome add column family bigint;
comment on column reveille.outcome.family is
  'The failure family of a job that failed: a hash of its task, queue, code and message, without '
  'numbers and ids. Null for any other job.';
create index outcome_family on reveille.outcome (family, id) include (ended_at)
  where state = 'failed';

alter table reveille.attempt add column redriven_at timestamptz;
comment on column reveille.attempt.redriven_at is
  'When a redrive sent the job back that had ended with this attempt. Null otherwise.';

-- Work on many jobs that an operator asked for. The leader does it in bounded steps, and each step
-- writes here how far it has come.
create table reveille.operation (
  id uuid primary key,
  kind text not null constraint operation_kind_check check (kind in ('redrive', 'purge')),
  filter jsonb not null,
  id_bound uuid not null,
  cursor jsonb,
  rate double precision,
  created_at timestamptz not null default now(),
  starts_at timestamptz not null,
  next_at timestamptz,
  worked_at timestamptz,
  stopped_at timestamptz,
  outcome text
    constraint operation_outcome_check check (outcome in ('completed', 'stopped', 'halted')),
  matched bigint not null,
  matched_estimated boolean not null,
  moved bigint not null default 0,
  skipped bigint not null default 0,
  skips jsonb not null default '[]',
  canary jsonb,
  halted_by uuid,
  reason text,
  principal text not null,
  constraint operation_ended_check check ((stopped_at is null) = (outcome is null))
);
comment on table reveille.operation is
  'Work on many jobs that an operator asked for. The leader does it in steps.';
comment on column reveille.operation.id_bound is 'It touches no job with a higher id.';
comment on column reveille.operation.cursor is 'How far it has come. Null: it starts from the front.';
comment on column reveille.operation.rate is 'The most jobs a second; null: as many as it can.';
comment on column reveille.operation.starts_at is 'It does nothing before. Until then it can be undone.';
comment on column reveille.operation.next_at is 'When the next job may start, by the rate.';
comment on column reveille.operation.worked_at is 'The time of its last progress.';
comment on column reveille.operation.outcome is
  'completed; stopped by a person; halted by its canary. Null while it is open.';
comment on column reveille.operation.matched is 'How many jobs it was about when it was asked for.';
comment on column reveille.operation.skips is 'The first jobs that it could not move, and why.';
comment on column reveille.operation.canary is 'share and halt_at, and how its stage stands.';
comment on column reveille.operation.halted_by is 'The job whose failure halted it.';
create index operation_open on reveille.operation (id) where stopped_at is null;

create table reveille.canary (
  operation uuid not null,
  id uuid not null,
  moved_at timestamptz not null default now(),
  constraint canary_pkey primary key (operation, id)
);
comment on table reveille.canary is
  'Redriven jobs of the present stage of an operation with a canary, until each has ended or failed.';
