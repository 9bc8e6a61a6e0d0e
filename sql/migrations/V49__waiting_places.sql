-- A job that waits lies in one place: in `ready`, or in `keyed` while another job has its
-- concurrency_key. The service of the release before knows neither table; it submits no such job.
create table reveille.keyed (
  queue    text collate "C" not null,
  key      text collate "C" not null,
  run_at   timestamptz not null,
  id       uuid not null,
  task     text collate "C" not null,
  priority smallint not null,
  attempt  integer not null default 0,
  crashes  smallint not null default 0,
  look     smallint not null,
  wakes    smallint not null default 0,
  primary key (queue, key, run_at, id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_cost_delay = 0, autovacuum_vacuum_insert_threshold = -1, vacuum_truncate = off);
create unique index keyed_id on reveille.keyed (id);
-- As the primary key of `ready`: what people read goes by lanes of both.
create index keyed_lane on reveille.keyed (queue, task, priority, run_at, id);
create index keyed_fresh on reveille.keyed (queue, key, run_at, id) where look = 1;
create index keyed_later on reveille.keyed (queue, run_at, id) where look = 2;
comment on table reveille.keyed is
  'Jobs with a concurrency_key that wait for their turn. The order of a key is (run_at, id).';
comment on column reveille.keyed.attempt is 'Attempts already spent.';
comment on column reveille.keyed.crashes is 'How often its worker was lost.';
comment on column reveille.keyed.look is
  'How the sweep of the queue finds it: 1 by its key, 2 by its time; 0: the sweep has seen it, and its '
  'gate is full.';
comment on column reveille.keyed.wakes is 'Whether this row announces its statement.';
revoke all on reveille.keyed from public;

-- Holders are named rather than counted: a job that has ended, or waits in `keyed`, holds nothing,
-- whatever stands here. So no way to end can leak a turn, and none is given back twice.
create table reveille.gate (
  queue   text collate "C" not null,
  key     text collate "C" not null,
  holders uuid[] not null default '{}',
  primary key (queue, key)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_cost_delay = 0);
comment on table reveille.gate is
  'Concurrency keys that a job has, or waits for. A key of which nothing waits or runs has no row.';
comment on column reveille.gate.holders is
  'The jobs that have a turn: in `ready` or in a lease. Others of the key wait in `keyed`.';
revoke all on reveille.gate from public;

-- Appended by whoever takes a job out of where it waits, which waits for nobody.
create table reveille.freed (
  queue text collate "C" not null,
  key   text collate "C" not null,
  wakes smallint not null default 1
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_cost_delay = 0);
create index freed_key on reveille.freed (queue, key);
comment on table reveille.freed is
  'Concurrency keys to be looked at, since a job of each left the place where it waited.';
revoke all on reveille.freed from public;

-- Whoever has locked the row of a queue sweeps it, alone: the order of a key depends on it.
create table reveille.sweeper (
  queue text collate "C" primary key
);
comment on table reveille.sweeper is 'Queues whose concurrency keys are looked at.';
revoke all on reveille.sweeper from public;

-- The files of these replace the bodies.
create function reveille.keyed_wake() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  return null;
end $$;
revoke all on function reveille.keyed_wake from public;
create constraint trigger keyed_wake after insert on reveille.keyed
  deferrable initially deferred for each row when (new.wakes > 0)
  execute function reveille.keyed_wake();
alter table reveille.keyed enable always trigger keyed_wake;
create constraint trigger freed_wake after insert on reveille.freed
  deferrable initially deferred for each row when (new.wakes > 0)
  execute function reveille.keyed_wake();
alter table reveille.freed enable always trigger freed_wake;

create view reveille.waiting as
select 'ready'::text as place, r.queue, r.task, r.priority, r.run_at, r.id, r.attempt, r.crashes,
  null::text collate "C" as key
from reveille.ready r
union all
select 'keyed'::text, k.queue, k.task, k.priority, k.run_at, k.id, k.attempt, k.crashes, k.key
from reveille.keyed k;
revoke all on reveille.waiting from public;

-- They got a parameter, or another way to be called.
drop function if exists reveille.waiting_take(uuid[]);
