create or replace function reveille.uuid7_floor(at timestamptz) returns uuid
language sql immutable parallel safe as $$
  select (lpad(to_hex(floor(extract(epoch from at) * 1000)::bigint), 12, '0')
    || repeat('0', 20))::uuid
$$;

comment on function reveille.uuid7_floor is
  'The least UUIDv7 of a moment: where a partition begins, and where a search by time starts.';
revoke all on function reveille.uuid7_floor from public;
