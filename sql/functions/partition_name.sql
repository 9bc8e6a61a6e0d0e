create or replace function reveille.partition_name(parent text, at timestamptz) returns text
language sql stable parallel safe as $$
  select parent || to_char(at at time zone 'UTC', '_IYYY"w"IW')
$$;

comment on function reveille.partition_name is
  'The name of the partition of a moment, such as job_2026w48.';
revoke all on function reveille.partition_name from public;
