-- A view calls it, so its body is bound here: the reader's search_path does not count.
create or replace function reveille.uuid7_time(id uuid) returns timestamptz
language sql immutable parallel safe
return to_timestamp((('x' || translate(left(id::text, 13), '-', ''))::bit(48)::bigint) / 1000.0);

comment on function reveille.uuid7_time is 'The moment in a UUIDv7, to the millisecond.';
revoke all on function reveille.uuid7_time from public;
