create or replace function reveille.week_floor(week date) returns uuid
language sql immutable parallel safe as $$
  select reveille.uuid7_floor(week::timestamp at time zone 'UTC')
$$;

comment on function reveille.week_floor is 'The least id of a week.';
revoke all on function reveille.week_floor from public;
