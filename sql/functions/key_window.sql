create or replace function reveille.key_window(id uuid) returns timestamptz
language sql stable as $$
  select w.until from (
    select reveille.key_until(j.settings, reveille.uuid7_time(j.id)) as until
    from reveille.job j where j.id = $1
  ) w where w.until > clock_timestamp()
$$;

comment on function reveille.key_window is
  'Until when a job that takes its unique key back keeps it beyond its end: counted from its '
  'submission. Null: no longer than it lives.';
revoke all on function reveille.key_window from public;
