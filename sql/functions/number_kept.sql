-- As the other doors read and round it: a number that is too small for a double is 0.
create or replace function reveille.number_kept(written text) returns double precision
language sql immutable parallel safe as $$
  select round(round(written::numeric, 40)::double precision * 1e6) / 1e6
$$;

comment on function reveille.number_kept is 'A sound number as settings keep it: with six decimals.';
revoke all on function reveille.number_kept from public;
