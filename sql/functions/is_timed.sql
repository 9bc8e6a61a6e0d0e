-- One expression, so that PostgreSQL puts it into the statement that calls it.
create or replace function reveille.is_timed(settings jsonb) returns boolean
language sql immutable parallel safe as $$
  select settings ?| array[
    -- made by make made: limits
      'deadline_seconds',
      'queue_ttl_seconds'
    -- end of limits
  ]
$$;

comment on function reveille.is_timed is
  'Whether these settings, of a job or of a queue, limit a life. Null without settings.';
revoke all on function reveille.is_timed from public;
