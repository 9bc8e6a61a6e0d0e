-- Jobs without a key are one statement. All keys are taken or locked in one pass and in their
-- order, whether they are free or not, so that two callers cannot deadlock. New content starts
-- afresh. A job that is being processed is noted as superseded when its key goes to another one.
-- A job that completed within the window of its key is the answer, also to who would replace it.
create or replace function reveille.submit_keyed(
  ids uuid[], queues text[], tasks text[], priorities smallint[], run_ats timestamptz[],
  payloads jsonb[], max_attemptss integer[], timeouts double precision[], tagss jsonb[],
  settingss jsonb[], keys text[], policies text[]
) returns table (nth bigint, job_id uuid, status text, outcome text)
language plpgsql as $$
declare
  item record;
  created uuid[];
  holder uuid;
  held record;
  moment timestamptz := clock_timestamp();
  since timestamptz;
begin
  if to_regclass('reveille.' || reveille.partition_name('job', clock_timestamp())) is null then
    perform reveille.partition_ensure();
  end if;

  if num_nonnulls(variadic keys) = 0 then
    perform reveille.insert_jobs(ids, queues, tasks, priorities, run_ats, payloads, max_attemptss,
      timeouts, tagss, settingss, keys, array_fill(true, array[cardinality(ids)]));
    return query select u.nth, u.id,
        case when u.run_at > clock_timestamp() then 'scheduled' else 'queued' end, 'created'
      from unnest(ids, run_ats) with ordinality u (id, run_at, nth);
    return;
  end if;

  if num_nonnulls(variadic settingss) > 0 then
    run_ats := array(
      select least(u.run_at, moment + interval '1 second'
        * (u.settings ->> 'debounce_max_seconds')::double precision)
      from unnest(run_ats, settingss) with ordinality u (run_at, settings, nth) order by u.nth);
  end if;

  -- The first job of this call that names a key takes it, if it has no row. The rows of the other
  -- keys are locked.
  with taken as (
    insert into reveille.unique_key as k (queue, key, id, until, first_at)
    select distinct on (u.queue, u.key) u.queue, u.key, u.id,
      reveille.key_until(u.settings, moment),
      case when u.settings ? 'debounce_max_seconds' then moment end
    from unnest(queues, keys, ids, settingss) with ordinality u (queue, key, id, settings, nth)
    where u.key is not null
    order by u.queue, u.key, u.nth
    on conflict (queue, key) do update set id = k.id where false
    returning k.id
  )
  select array_agg(taken.id) into created from taken;

  -- The lock may have been waited for: whether a holder has ended is asked in a fresh statement.
  with freed as (
    update reveille.unique_key k
    set id = u.id, until = reveille.key_until(u.settings, moment),
      first_at = case when u.settings ? 'debounce_max_seconds' then moment end
    from (
      select distinct on (n.queue, n.key) n.queue, n.key, n.id, n.settings
      from unnest(queues, keys, ids, settingss) with ordinality n (queue, key, id, settings, nth)
      where n.key is not null
      order by n.queue, n.key, n.nth
    ) u
    where k.queue = u.queue and k.key = u.key and k.id <> u.id
      and reveille.key_is_free(k.id, k.until)
    returning k.id
  )
  select created || array_agg(freed.id) into created from freed;

  perform reveille.insert_jobs(ids, queues, tasks, priorities, run_ats, payloads, max_attemptss,
    timeouts, tagss, settingss, keys, array(
      select u.key is null or u.id = any (created)
      from unnest(keys, ids) with ordinality u (key, id, nth) order by u.nth));

  for item in
    select u.*
    from unnest(ids, queues, tasks, priorities, run_ats, payloads, max_attemptss, timeouts, tagss,
        settingss, keys, policies) with ordinality
      u (id, queue, task, priority, run_at, payload, max_attempts, timeout, tags, settings, key,
        policy, nth)
    order by u.nth
  loop
    nth := item.nth;
    job_id := item.id;
    outcome := 'created';
    if item.key is not null and not coalesce(item.id = any (created), false) then
      select k.id, k.until, k.first_at into held from reveille.unique_key k
        where k.queue = item.queue and k.key = item.key;
      holder := held.id;
      outcome := case item.policy when 'reject' then 'rejected' else 'existing' end;
      job_id := holder;
      if item.policy = 'replace' then
        -- Cancelling and deleting lock the key first, so this waits for a claim at most.
        if exists (select from reveille.waiting_take(array[holder], true)) then
          outcome := 'replaced';
          since := held.first_at;
          if item.settings ? 'debounce_max_seconds' then
            -- Content that began has had its turn.
            if since is null or exists (
              select from reveille.attempt a
              where a.id = holder and a.ended_at > since and a.ending <> 'released'
            ) then
              since := moment;
            end if;
            item.run_at := least(item.run_at, since + interval '1 second'
              * (item.settings ->> 'debounce_max_seconds')::double precision);
          end if;
          update reveille.job j set task = item.task, priority = item.priority,
            run_at = item.run_at, payload = item.payload, max_attempts = item.max_attempts,
            timeout_seconds = item.timeout, tags = reveille.tag_array(item.tags),
            settings = item.settings
            where j.id = holder;
          if item.settings ->> 'concurrency_key' is null then
            insert into reveille.ready (queue, task, priority, run_at, id, wakes)
              values (item.queue, item.task, item.priority, item.run_at, holder,
                (item.run_at < now() + interval '2 minutes')::integer);
          else
            insert into reveille.keyed (queue, key, run_at, id, task, priority, look, wakes)
              values (item.queue, item.settings ->> 'concurrency_key', item.run_at, holder,
                item.task, item.priority, 1 + (item.run_at > clock_timestamp())::integer,
                (item.run_at < now() + interval '2 minutes')::integer);
          end if;
          if reveille.is_timed(item.settings) then
            perform reveille.expiry_begin(array[holder], array[item.settings]);
          end if;
          perform reveille.snoozes_begin(array[holder]);
          if (held.until, held.first_at)
            is distinct from (reveille.key_until(item.settings, moment), since)
          then
            update reveille.unique_key k
              set until = reveille.key_until(item.settings, moment), first_at = since
              where k.queue = item.queue and k.key = item.key;
          end if;
        elsif not reveille.has_ended(holder) or reveille.key_is_free(holder, held.until) then
          outcome := 'created';
          job_id := item.id;
          insert into reveille.superseded as s (id, replacement) values (holder, item.id)
            on conflict (id) do update set replacement = excluded.replacement;
          update reveille.unique_key k set id = item.id,
            until = reveille.key_until(item.settings, moment),
            first_at = case when item.settings ? 'debounce_max_seconds' then moment end
            where k.queue = item.queue and k.key = item.key;
          perform reveille.insert_jobs(array[item.id], array[item.queue], array[item.task],
            array[item.priority], array[item.run_at], array[item.payload],
            array[item.max_attempts], array[item.timeout], array[item.tags],
            array[item.settings], array[item.key], array[true]);
        end if;
      end if;
    end if;
    status := case outcome
      when 'created' then
        case when item.run_at > clock_timestamp() then 'scheduled' else 'queued' end
      -- A holder that is gone completed.
      else coalesce(reveille.job_status(job_id), 'completed') end;
    return next;
  end loop;
end $$;

comment on function reveille.submit_keyed is
  'Submits jobs that were checked. The outcome of each is created, existing, replaced or rejected.';
revoke all on function reveille.submit_keyed from public;
