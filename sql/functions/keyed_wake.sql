-- As `wake`, of the sweep of a queue.
create or replace function reveille.keyed_wake() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  if current_setting('reveille.notify', true) is distinct from 'off'
    and reveille.gate('keyed ' || new.queue)
  then
    perform pg_notify('reveille', 'keyed ' || new.queue);
  end if;
  return null;
end $$;

comment on function reveille.keyed_wake is
  'Announces a queue of which concurrency keys are to be looked at, when its transaction commits.';
revoke all on function reveille.keyed_wake from public;
