-- Jobs that end by themselves if they wait for too long. A job without such a limit has no row.
create table reveille.expiry (
  id uuid primary key,
  since timestamptz not null,
  at timestamptz not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_cost_delay = 0);
create index expiry_at on reveille.expiry (at);
comment on table reveille.expiry is
  'Jobs with a queue_ttl_seconds or a deadline_seconds of their own, until they end.';
comment on column reveille.expiry.id is 'The job.';
comment on column reveille.expiry.since is
  'When its present content was accepted: its limits count from here.';
comment on column reveille.expiry.at is 'When the leader looks at it next.';

-- The file of this function replaces the body.
create function reveille.expiry_wake() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  return null;
end $$;
revoke all on function reveille.expiry_wake from public;
create constraint trigger expiry_wake after insert or update of since on reveille.expiry
  deferrable initially deferred for each row execute function reveille.expiry_wake();
alter table reveille.expiry enable always trigger expiry_wake;
