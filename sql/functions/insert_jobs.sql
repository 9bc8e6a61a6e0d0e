-- The first row of each lane that is due before the poll after next announces the lane (poll
-- intervals are at most a minute). A job with a concurrency_key waits for its turn in `keyed`: that
-- locks nothing that others have, so a transaction that stays open holds nobody up.
create or replace function reveille.insert_jobs(
  ids uuid[], queues text[], tasks text[], priorities smallint[], run_ats timestamptz[],
  payloads jsonb[], max_attemptss integer[], timeouts double precision[], tagss jsonb[],
  settingss jsonb[], keys text[], wanteds boolean[]
) returns void
language plpgsql as $$
begin
  with u as materialized (
    select *,
      row_number() over (partition by u.queue, u.task, u.priority,
        u.settings ->> 'concurrency_key' is not null order by u.run_at, u.id) as nth,
      u.settings ->> 'concurrency_key' as turn_key
    from unnest(ids, queues, tasks, priorities, run_ats, payloads, max_attemptss, timeouts, tagss,
        settingss, keys, wanteds)
      u (id, queue, task, priority, run_at, payload, max_attempts, timeout, tags, settings, key,
        wanted)
    where u.wanted
  ), j as (
    insert into reveille.job (id, queue, task, priority, run_at, payload, max_attempts,
      timeout_seconds, tags, settings, unique_key)
    select u.id, u.queue, u.task, u.priority, u.run_at, u.payload, u.max_attempts, u.timeout,
      reveille.tag_array(u.tags), u.settings, u.key
    from u
  ), k as (
    insert into reveille.keyed (queue, key, run_at, id, task, priority, look, wakes)
    select u.queue, u.turn_key, u.run_at, u.id, u.task, u.priority,
      1 + (u.run_at > clock_timestamp())::integer,
      (u.run_at < clock_timestamp() + interval '2 minutes' and u.nth = 1)::integer
    from u where u.turn_key is not null
  )
  insert into reveille.ready (queue, task, priority, run_at, id, wakes)
  select u.queue, u.task, u.priority, u.run_at, u.id,
    (u.run_at < clock_timestamp() + interval '2 minutes' and u.nth = 1)::integer
  from u where u.turn_key is null;
  if exists (
    select from unnest(settingss) s (settings)
    where reveille.is_timed(s.settings)
  ) then
    perform reveille.expiry_begin(array_agg(u.id), array_agg(u.settings))
    from unnest(ids, settingss, wanteds) u (id, settings, wanted) where u.wanted;
  end if;
end $$;

comment on function reveille.insert_jobs is 'Writes the checked jobs whose `wanted` is true.';
revoke all on function reveille.insert_jobs from public;
