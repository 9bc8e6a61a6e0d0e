-- Only the schema's oid and the hash keep the key apart from the advisory locks of others.
create or replace function reveille.gate_key(lane text, at timestamptz) returns bigint
language sql stable parallel safe as $$
  select hashtextextended(lane,
    ('reveille'::regnamespace::oid::bigint << 31) # (date_part('epoch', at) * 10)::bigint)
$$;

comment on function reveille.gate_key is
  'The key of a lane''s gate at a moment: an advisory lock for each lane and 100 ms.';
revoke all on function reveille.gate_key from public;
