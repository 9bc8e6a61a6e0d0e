-- Only one of those who insert into a lane at the same time notifies: NOTIFY holds a database-wide
-- lock through the flush of its commit. SET CONSTRAINTS ALL IMMEDIATE makes its transaction hold
-- the gate to its end, and a notifier may fail at its commit. So a gate counts for a slot of 100 ms
-- only, and there is a spare one beside it.
create or replace function reveille.gate(lane text) returns boolean
language sql volatile as $$
  select case
    when pg_try_advisory_xact_lock(reveille.gate_key(lane, clock_timestamp())) then true
    else pg_try_advisory_xact_lock(reveille.gate_key(lane, clock_timestamp()) # 1)
  end
$$;

comment on function reveille.gate is
  'Whether this transaction notifies of a lane: it took the lane''s gate, or the spare one.';
revoke all on function reveille.gate from public;
