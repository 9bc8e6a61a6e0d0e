-- NOTIFY holds a database-wide lock through the flush of the commit. So only one of the callers who
-- insert into a lane at the same time notifies. A dispatcher looks again a few times for the
-- others. One row of a statement is marked for each lane, and its event waits for the commit. A
-- gate that was taken earlier would mute its lane until the caller's transaction ends.
--
-- At the commit the submitter may have no right to call anything here. From PostgreSQL 18 on the
-- event runs as the role that queued it, with the search_path of the role that commits. A notice of
-- a queue passes no gate: it speaks for lanes whose gates nobody asked.
create or replace function reveille.wake() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
  lane text;
begin
  if current_setting('reveille.notify', true) = 'off' then
    return null;
  elsif new.wakes = 2 then
    perform pg_notify('reveille', 'queue ' || new.queue);
    return null;
  end if;
  lane := new.queue || ' ' || new.task || ' ' || new.priority;
  if reveille.gate(lane) then
    perform pg_notify('reveille', 'lane ' || lane);
  end if;
  return null;
end $$;

comment on function reveille.wake is
  'Announces the lane or the queue of a waiting job when its transaction commits.';
revoke all on function reveille.wake from public;
