-- With a short retention the rows of this very week come and go. So vacuum follows soon, ten times
-- as fast as usual. It does not truncate: that locks out everybody for a moment, and the space is
-- used again.
create or replace function reveille.partition_tune(name text) returns void
language plpgsql as $$
begin
  execute format('alter table reveille.%I set (autovacuum_vacuum_scale_factor = 0.02, '
    'autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_insert_scale_factor = 0.05, '
    'autovacuum_vacuum_cost_limit = 2000, vacuum_truncate = off)', name);
end $$;

comment on function reveille.partition_tune is 'Sets how a partition is vacuumed.';
revoke all on function reveille.partition_tune from public;
