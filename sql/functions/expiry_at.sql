create or replace function reveille.expiry_at(since timestamptz, settings jsonb) returns timestamptz
language sql immutable parallel safe as $$
  select since + interval '1 second' * least((settings ->> 'queue_ttl_seconds')::double precision,
    (settings ->> 'deadline_seconds')::double precision)
$$;

comment on function reveille.expiry_at is
  'When the first limit is over of a job whose content was accepted then; null without a limit.';
revoke all on function reveille.expiry_at from public;
