-- A UUIDv7 is cheap if its randomness is drawn once for a call. The ids of one call differ by
-- `nth`, and those of two calls by their seeds.
create or replace function reveille.uuid7(ticks bigint, seed bigint, nth bigint) returns uuid
language sql immutable parallel safe as $$
  select encode(int8send(((ticks + nth) >> 12 << 16) | (7 << 12) | ((ticks + nth) & 4095))
    || int8send((hashint8extended(nth, seed) & 4611686018427387903) | (-9223372036854775808)),
    'hex')::uuid
$$;

comment on function reveille.uuid7 is
  'A UUIDv7 (RFC 9562). `ticks` are 1/4096 ms since 1970, `seed` has the random bits.';
revoke all on function reveille.uuid7 from public;
