create or replace function reveille.uuid7_ticks(at timestamptz) returns bigint
language sql stable parallel safe as $$
  select floor(extract(epoch from at) * 4096000)::bigint
$$;

comment on function reveille.uuid7_ticks is 'A moment in units of 1/4096 ms since 1970.';
revoke all on function reveille.uuid7_ticks from public;
