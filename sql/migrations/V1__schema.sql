-- A job is written once; a claim is one row (DESIGN.md of the project, decision 5; README, "The way of a job").
--
-- Where the row of a job lies is its state: in `ready` it waits, in the `ids` of a `lease` it is being processed, in
-- `outcome` it has ended. It is in exactly one of the three, always.

create type reveille.end_state as enum ('completed', 'failed', 'cancelled');

-- What was submitted. Rewritten only when a waiting job is replaced.
create table reveille.job (
  id              uuid not null,
  run_at          timestamptz not null,
  timeout_seconds double precision check (timeout_seconds > 0),
  max_attempts    integer check (max_attempts > 0),
  priority        smallint not null check (priority between 0 and 9),
  queue           text not null check (queue ~ '^[a-z0-9_.-]{1,64}$'),
  task            text not null check (task ~ '^[a-zA-Z0-9_.:-]{1,100}$'),
  payload         jsonb not null,
  tags            text[] check (cardinality(tags) between 1 and 20),
  unique_key      text check (length(unique_key) between 1 and 255),
  primary key (id)
) partition by range (id);
create index job_tags on reveille.job using gin (tags) where tags is not null;
comment on table reveille.job is 'What was submitted. max_attempts and timeout_seconds are null where the task''s own default holds.';

-- Every job that waits: first waits, retries and delays alike. Time makes it ready, nobody promotes it.
create table reveille.ready (
  queue    text not null,
  task     text not null,
  priority smallint not null,
  run_at   timestamptz not null,
  id       uuid not null,
  attempt  integer not null default 0 check (attempt >= 0),
  crashes  smallint not null default 0 check (crashes >= 0),
  wakes    smallint not null default 0,
  primary key (queue, task, priority, run_at, id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_vacuum_insert_threshold = -1, vacuum_truncate = off);
create unique index ready_id on reveille.ready (id);
create index ready_suspect on reveille.ready (run_at, id) where crashes >= 2;
comment on column reveille.ready.attempt is 'Attempts already spent.';
comment on column reveille.ready.crashes is 'How often its worker was lost. From 2 on the job is a suspect and runs alone.';
comment on column reveille.ready.wakes is 'Whether this row announces its statement: 0 no, 1 its own lane, 2 its whole queue.';

-- One row for each claim, whatever its size. An outcome is accepted if the row is there and still holds the id.
create table reveille.lease (
  lease      uuid primary key,
  worker     uuid not null,
  claimed_at timestamptz not null default now(),
  ids        uuid[] not null,
  attempts   integer[] not null,
  crashes    smallint[] not null,
  cancels    uuid[] not null default '{}',
  check (cardinality(ids) > 0 and cardinality(ids) = cardinality(attempts) and cardinality(ids) = cardinality(crashes))
) with (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0, autovacuum_vacuum_insert_threshold = -1, vacuum_truncate = off);
create index lease_worker on reveille.lease (worker);
comment on column reveille.lease.cancels is
  'Ids whose cancellation was asked for. Here and not in a table of its own: a statement that waited for the row''s lock sees the row as it is now, but every other table as it was when it began.';

-- How a job ended. Append-only.
create table reveille.outcome (
  id         uuid not null,
  lease      uuid,
  worker     uuid,
  claimed_at timestamptz,
  ended_at   timestamptz not null default now(),
  attempt    integer not null,
  state      reveille.end_state not null,
  result     jsonb,
  error      jsonb,
  primary key (id)
) partition by range (id);
create index outcome_unwell on reveille.outcome (id) where state <> 'completed';

-- How each earlier attempt ended. Append-only; keyed by lease, since attempt numbers recur.
create table reveille.attempt (
  id         uuid not null,
  lease      uuid not null,
  worker     uuid,
  claimed_at timestamptz,
  ended_at   timestamptz not null default now(),
  attempt    integer not null,
  ending     text not null check (ending in ('completed', 'failed', 'cancelled', 'lost', 'released', 'snoozed')),
  result     jsonb,
  error      jsonb,
  primary key (id, lease)
) partition by range (id);

-- Who holds a unique key: a job that has not ended.
create table reveille.unique_key (
  queue text not null,
  key   text not null,
  id    uuid not null,
  primary key (queue, key)
) with (autovacuum_vacuum_scale_factor = 0.02);
create unique index unique_key_id on reveille.unique_key (id);

create table reveille.queue (
  name       text primary key check (name ~ '^[a-z0-9_.-]{1,64}$'),
  created_at timestamptz not null default now(),
  paused_at  timestamptz
);

-- Who executes. The heartbeat of a worker renews all of its leases.
create table reveille.worker (
  id           uuid primary key,
  name         text not null,
  version      text not null,
  host         text not null,
  pid          integer not null,
  started_at   timestamptz not null default now(),
  heartbeat_at timestamptz not null default now(),
  lost_after   interval not null,
  slots        integer not null,
  running      integer not null default 0,
  draining     boolean not null default false,
  queues       text[],
  tasks        text[] not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
comment on column reveille.worker.queues is 'The queues it serves; null for all of them.';

-- Tasks that some worker knows or knew, so that both doors can say which names exist.
create table reveille.task (
  name            text primary key check (name ~ '^[a-zA-Z0-9_.:-]{1,100}$'),
  description     text not null default '',
  max_attempts    integer not null,
  timeout_seconds double precision,
  payload_schema  jsonb,
  result_schema   jsonb,
  example         jsonb,
  updated_at      timestamptz not null default now()
);

-- The last word of a running handler.
create table reveille.progress (
  id         uuid primary key,
  updated_at timestamptz not null default now(),
  fraction   double precision check (fraction between 0 and 1),
  message    text
) with (fillfactor = 70);

-- Singleton services have a leader by lease.
create table reveille.leader (
  name   text primary key,
  worker uuid not null,
  until  timestamptz not null
) with (fillfactor = 50);

-- Releases roll: a service that knows fewer migrations than this must not run on the schema.
create table reveille.compatibility (
  oldest_service integer not null
);
insert into reveille.compatibility values (1);
