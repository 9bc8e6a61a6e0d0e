create or replace function reveille.week_number(at timestamptz) returns integer
language sql immutable parallel safe as $$
  select floor((extract(epoch from at) + 259200) / 604800)::integer
$$;

comment on function reveille.week_number is
  'The number of a week, counted from the week of 1970-01-01.';
revoke all on function reveille.week_number from public;
