create or replace function reveille.time_error(settings jsonb) returns jsonb
language sql immutable parallel safe as $$
  select case
    when (settings #>> '{left,deadline_seconds}')::double precision <= 0 then
      jsonb_build_object('code', 'deadline_exceeded', 'message',
        'the job did not end within its deadline_seconds of ' || (settings ->> 'deadline_seconds'))
    when (settings #>> '{left,queue_ttl_seconds}')::double precision <= 0 then
      jsonb_build_object('code', 'expired', 'message', 'no attempt began within the '
        'queue_ttl_seconds of ' || (settings ->> 'queue_ttl_seconds'))
  end
$$;

comment on function reveille.time_error is
  'Why a job may not wait any longer, by its settings with what is left; null while it may.';
revoke all on function reveille.time_error from public;
