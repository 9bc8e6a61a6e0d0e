create or replace function reveille.time_error(settings jsonb) returns jsonb
language sql immutable parallel safe as $$
  select case
    when (settings #>> '{left,deadline_seconds}')::double precision <= 0 then
      reveille.limit_error('deadline_seconds', 'its', settings ->> 'deadline_seconds')
    when (settings #>> '{left,queue_ttl_seconds}')::double precision <= 0 then
      reveille.limit_error('queue_ttl_seconds', 'its', settings ->> 'queue_ttl_seconds')
  end
$$;

comment on function reveille.time_error is
  'Why a job may not wait any longer, by its settings with what is left; null while it may.';
revoke all on function reveille.time_error from public;
