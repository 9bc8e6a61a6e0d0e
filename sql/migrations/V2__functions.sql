-- Ids, partitions and the wake-up.

-- A UUIDv7 (RFC 9562) of a moment. `nth` counts on from there in 1/4096 ms, so that the ids of one call ascend.
create function reveille.uuid7(at timestamptz, nth bigint default 0) returns uuid
language sql volatile parallel safe as $$
  select encode(
    overlay(overlay(uuid_send(gen_random_uuid())
      placing substring(int8send(ticks / 4096) from 3) from 1 for 6)
      placing substring(int8send((7 << 12) | (ticks % 4096)) from 7) from 7 for 2),
    'hex')::uuid
  from (select floor(extract(epoch from at) * 1000 * 4096)::bigint + nth) t (ticks)
$$;

-- The moment in a UUIDv7, to the millisecond.
create function reveille.uuid7_time(id uuid) returns timestamptz
language sql immutable parallel safe as $$
  select to_timestamp((('x' || translate(left(id::text, 13), '-', ''))::bit(48)::bigint) / 1000.0)
$$;

-- The least id of a moment: where a partition begins, and where a search by time starts.
create function reveille.uuid7_floor(at timestamptz) returns uuid
language sql immutable parallel safe as $$
  select (lpad(to_hex(floor(extract(epoch from at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

create function reveille.partition_name(parent text, at timestamptz) returns text
language sql stable parallel safe as $$
  select parent || to_char(at at time zone 'UTC', '_IYYY"w"IW')
$$;

-- Makes the weekly partitions from last week to `weeks` weeks ahead. Attached, not created in place: that would lock out
-- every reader and writer of the parent. There is no default partition, because it would block detaching, and because
-- whatever it already holds could not be split off.
create function reveille.partition_ensure(weeks integer default 3) returns void
language plpgsql security definer set search_path = reveille, pg_temp as $$
declare
  week timestamptz;
  parent text;
  name text;
begin
  perform pg_advisory_xact_lock(77, 1);
  for week in
    select generate_series(-1, weeks) * interval '7 days' + date_trunc('week', now() at time zone 'UTC') at time zone 'UTC'
  loop
    foreach parent in array array['job', 'outcome', 'attempt'] loop
      name := partition_name(parent, week);
      if to_regclass('reveille.' || name) is null then
        execute format('create table reveille.%I (like reveille.%I including all)', name, parent);
        execute format('alter table reveille.%I set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05)', name);
        execute format('alter table reveille.%I attach partition reveille.%I for values from (%L) to (%L)',
          parent, name, uuid7_floor(week), uuid7_floor(week + interval '7 days'));
      end if;
    end loop;
  end loop;
end $$;
select reveille.partition_ensure();

-- The wake-up. NOTIFY holds a database-wide lock through the flush of the commit, so only the first of those who insert
-- into a lane at the same time notifies; a dispatcher looks again a few times for the others. One row of a statement is
-- marked for each lane, and its event waits for the commit: a gate taken earlier would be held to the end of the
-- caller's transaction, and a long one would mute its lane.
create function reveille.wake() returns trigger language plpgsql as $$
begin
  if current_setting('reveille.notify', true) is distinct from 'off'
    and pg_try_advisory_xact_lock(78, hashtext(new.queue || ' ' || new.task || ' ' || new.priority))
  then
    perform pg_notify('reveille', case new.wakes when 1 then 'lane ' || new.queue || ' ' || new.task || ' ' || new.priority else 'queue ' || new.queue end);
  end if;
  return null;
end $$;
create constraint trigger wake after insert on reveille.ready deferrable initially deferred
  for each row when (new.wakes > 0) execute function reveille.wake();

-- Which of the three places holds a job, as the status that users see. Null: none.
create function reveille.job_status(id uuid) returns text
language sql volatile as $$
  select coalesce(
    (select case when r.run_at > clock_timestamp() then 'scheduled' else 'queued' end from reveille.ready r where r.id = $1),
    (select o.state::text from reveille.outcome o where o.id = $1),
    (select 'processing' from reveille.lease l where $1 = any (l.ids) limit 1))
$$;
