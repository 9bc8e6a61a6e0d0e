-- Settings of queues: null for nearly every queue. The release before knows none of these columns.
alter table reveille.queue
  add column settings     jsonb,
  add column of_file      text[],
  add column settings_at  timestamptz,
  add column paused_until timestamptz,
  add column paused_by    text,
  add column pause_reason text,
  add column pause_of     timestamptz,
  add column touched_at   timestamptz not null default now();
comment on column reveille.queue.settings is
  'Defaults of its jobs, by the names that they have over HTTP; null without any.';
comment on column reveille.queue.of_file is
  'Which of the settings reveille.toml gave; the others came over HTTP.';
comment on column reveille.queue.settings_at is
  'When the settings were changed last, by settings_clock; null if they never were.';
comment on column reveille.queue.paused_until is 'When the pause of pause_of ends by itself.';
comment on column reveille.queue.paused_by is 'Who asked for the pause of pause_of, as in audit.';
comment on column reveille.queue.pause_reason is 'Why, in the words of that caller.';
comment on column reveille.queue.pause_of is
  'The paused_at that the end, the caller and the reason belong to. The release before ends a pause '
  'and begins another without them.';
comment on column reveille.queue.touched_at is
  'When it was last known to have jobs, give or take an hour, or was last changed by somebody.';

-- Each instance asks which settings have changed lately.
create index queue_settings_at on reveille.queue (settings_at) where settings_at is not null;
-- A submission by SQL asks whether its queue has a default priority. Most have none.
create index queue_priority on reveille.queue (name) where settings ? 'priority';
-- The leader asks which pause ends next.
create index queue_paused_until on reveille.queue (paused_until) where paused_until is not null;

-- Its one row is locked by each change until that is committed. So changes are seen in the order of
-- their times.
create table reveille.settings_clock (
  one boolean primary key default true constraint settings_clock_one_check check (one),
  at timestamptz not null
);
comment on table reveille.settings_clock is
  'The time of the last change of settings. It rises with each change, although the clock of the '
  'server may be set back.';
revoke all on reveille.settings_clock from public;

create table reveille.settings_file (
  digest     text collate "C" primary key,
  applied_at timestamptz not null default clock_timestamp()
);
comment on table reveille.settings_file is
  'The tables of reveille.toml that were applied, each content once; the last one is in force.';
comment on column reveille.settings_file.digest is 'SHA-256 of what the tables say.';
comment on column reveille.settings_file.applied_at is 'When an instance applied them.';
revoke all on reveille.settings_file from public;
