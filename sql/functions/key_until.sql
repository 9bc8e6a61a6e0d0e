create or replace function reveille.key_until(settings jsonb, accepted timestamptz)
returns timestamptz
language sql stable as $$
  select accepted + (settings ->> 'unique_for_seconds')::double precision * interval '1 second'
$$;

comment on function reveille.key_until is
  'Until when a job with these settings, accepted then, keeps its unique key beyond its end.';
revoke all on function reveille.key_until from public;
