create or replace function reveille.uuid7_seed() returns bigint
language sql volatile parallel safe as $$
  select ('x' || encode(substring(uuid_send(gen_random_uuid()) from 9), 'hex'))::bit(64)::bigint
$$;

comment on function reveille.uuid7_seed is 'Random bits for the ids of one call.';
revoke all on function reveille.uuid7_seed from public;
