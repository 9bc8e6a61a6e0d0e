-- Wakes are not lost to a gate that is held for long.
--
-- Only one of those who insert into a lane at the same time notifies, since NOTIFY holds a database-wide lock through the
-- flush of the commit. SET CONSTRAINTS ALL IMMEDIATE makes its transaction take the gate early and hold it to its end, and a
-- notifier may fail at its commit. So a gate counts for a slot of 100 ms only, and there is a spare one beside it.

-- The key of a lane's gate at a moment. Only the schema and the hash keep it apart from the advisory locks of others.
create function reveille.gate_key(lane text, at timestamptz) returns bigint
language sql stable parallel safe as $$
  select hashtextextended(lane, ('reveille'::regnamespace::oid::bigint << 31) # (date_part('epoch', at) * 10)::bigint)
$$;

-- Whether this transaction is to notify of a lane: it is the first to say so in this slot, or the second.
create function reveille.gate(lane text) returns boolean
language sql volatile as $$
  select case
    when pg_try_advisory_xact_lock(reveille.gate_key(lane, clock_timestamp())) then true
    else pg_try_advisory_xact_lock(reveille.gate_key(lane, clock_timestamp()) # 1)
  end
$$;
revoke all on function reveille.gate_key(text, timestamptz), reveille.gate(text) from public;

-- Its event waits for the commit, where the submitter may have no right to call anything here. What tells of a queue passes no
-- gate: it speaks for lanes whose gates nobody asked.
create or replace function reveille.wake() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
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

-- Also where rows are replayed (session_replication_role = replica).
alter table reveille.ready enable always trigger wake;
