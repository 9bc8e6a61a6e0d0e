-- Settings of queues: null for nearly every queue. The release before knows none of these columns.
alter table reveille.queue
  add column settings     jsonb,
  add column of_file      text[],
  add column settings_at  timestamptz,
  add column paused_until timestamptz,
  add column paused_by    text,
  add column pause_reason text,
  add column touched_at   timestamptz not null default now();
comment on column reveille.queue.settings is
  'Defaults of its jobs, by the names that they have over HTTP; null without any.';
comment on column reveille.queue.of_file is
  'Which of the settings reveille.toml gave; the others came over HTTP.';
comment on column reveille.queue.settings_at is
  'When the settings were changed last, which rises with each change; null if they never were.';
comment on column reveille.queue.paused_until is
  'When the pause ends by itself; it counts if it is later than paused_at.';
comment on column reveille.queue.paused_by is 'Who paused it, as in audit.';
comment on column reveille.queue.pause_reason is 'Why, in the words of that caller.';
comment on column reveille.queue.touched_at is
  'When it was last known to have jobs, give or take an hour, or was last changed by somebody.';

-- Each instance asks which settings have changed lately.
create index queue_settings_at on reveille.queue (settings_at) where settings_at is not null;
-- A submission by SQL asks whether its queue has a default priority. Most have none.
create index queue_priority on reveille.queue (name) where settings ? 'priority';
-- The leader asks which pause ends next.
create index queue_paused_until on reveille.queue (paused_until) where paused_until is not null;

create table reveille.settings_file (
  digest     text collate "C" primary key,
  applied_at timestamptz not null default clock_timestamp()
);
comment on table reveille.settings_file is
  'The tables of reveille.toml that were applied, each content once; the last one is in force.';
comment on column reveille.settings_file.digest is 'SHA-256 of what the tables say.';
comment on column reveille.settings_file.applied_at is 'When an instance applied them.';
revoke all on reveille.settings_file from public;
