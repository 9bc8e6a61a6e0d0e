-- It asks at the commit: a row that was earlier when this one was written may be gone by then, and
-- the leader asleep.
create or replace function reveille.expiry_wake() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  if current_setting('reveille.notify', true) is distinct from 'off'
    and not exists (select from reveille.expiry e where e.at < new.at)
  then
    perform pg_notify('reveille', 'expiry');
  end if;
  return null;
end $$;

comment on function reveille.expiry_wake is
  'Announces a job that ends by itself earlier than all others, when its transaction commits.';
revoke all on function reveille.expiry_wake from public;
