-- Unique keys that outcomes never wait for. An outcome is written without its key, which is freed afterwards, so a key whose
-- holder has ended counts as free. The order in which locks are taken stands in src/store/key.rs.

create table reveille.superseded (
  id          uuid primary key,
  replacement uuid not null
);
create index superseded_replacement on reveille.superseded (replacement);
comment on table reveille.superseded is 'Jobs whose unique key went to a replacement while a worker held them. Such a job does not wait again.';
comment on column reveille.superseded.replacement is 'The job that took the key.';

-- Those that were superseded before this table was there.
insert into reveille.superseded (id, replacement)
select j.id, k.id
from (
  select unnest(l.ids) as id from reveille.lease l
  union
  select r.id from reveille.ready r where r.attempt > 0 or r.crashes > 0
) u
join reveille.job j on j.id = u.id
join reveille.unique_key k on k.queue = j.queue and k.key = j.unique_key and k.id <> j.id;

-- Whether a job has ended, or is gone. A statement that asks about the holder of a key must have begun after it locked the key.
create function reveille.has_ended(id uuid) returns boolean
language plpgsql stable as $$
begin
  return exists (select from reveille.outcome o where o.id = $1) or not exists (select from reveille.job j where j.id = $1);
end $$;

-- Takes a key for a job, if the key is free. Returns the holder of the key. The row gets a new version even if nothing about it
-- changes: a transaction with an older snapshot then fails, instead of taking this job for one that has ended.
create function reveille.key_take(queue text, key text, id uuid) returns uuid
language plpgsql as $$
#variable_conflict use_column
declare
  holder uuid;
begin
  insert into reveille.unique_key as k (queue, key, id) values ($1, $2, $3)
    on conflict (queue, key) do update set id = k.id
    returning k.id into holder;
  if holder <> $3 and reveille.has_ended(holder) then
    update reveille.unique_key k set id = $3 where k.queue = $1 and k.key = $2;
    holder := $3;
  end if;
  return holder;
end $$;

-- A job that waited lets go of its key. The newest job that it superseded takes the key back, if that job has not ended.
create function reveille.key_leave(id uuid) returns void
language plpgsql as $$
#variable_conflict use_column
declare
  heir uuid;
begin
  perform from reveille.unique_key k where k.id = $1 for update;
  if not found then return; end if;
  select s.id into heir from reveille.superseded s
    where s.replacement = $1 and not reveille.has_ended(s.id) order by s.id desc limit 1;
  if heir is null then
    delete from reveille.unique_key k where k.id = $1;
    return;
  end if;
  update reveille.unique_key k set id = heir where k.id = $1;
  delete from reveille.superseded s where s.id = heir;
  update reveille.superseded s set replacement = heir where s.replacement = $1;
end $$;

-- Frees the keys of those of these jobs that have ended, without waiting. Returns those whose keys somebody has locked.
create function reveille.key_free(ids uuid[]) returns setof uuid
language plpgsql as $$
declare
  locked uuid[];
begin
  select array_agg(l.id) into locked from (
    select k.id from reveille.unique_key k where k.id = any (ids) order by k.queue, k.key for update skip locked
  ) l;
  delete from reveille.unique_key k where k.id = any (locked) and reveille.has_ended(k.id);
  delete from reveille.superseded s where s.id = any (array(
    select x.id from reveille.superseded x where x.id = any (ids) and reveille.has_ended(x.id) for update skip locked));
  return query select k.id from reveille.unique_key k
    where k.id = any (ids) and not coalesce(k.id = any (locked), false) and reveille.has_ended(k.id);
end $$;

-- As V3 says. Keys are locked in one pass and in order, whether they are free or not, so submissions do not deadlock. New
-- content starts afresh. A job that is being processed is noted as superseded when its key goes to another one.
create or replace function reveille.submit_rows(
  ids uuid[], queues text[], tasks text[], priorities smallint[], run_ats timestamptz[], payloads jsonb[],
  max_attemptss integer[], timeouts double precision[], tagss jsonb[], keys text[], policies text[]
) returns table (nth bigint, job_id uuid, status text, outcome text)
language plpgsql as $$
declare
  item record;
  created uuid[];
  holder uuid;
begin
  if to_regclass('reveille.' || reveille.partition_name('job', clock_timestamp())) is null then
    perform reveille.partition_ensure();
  end if;

  if num_nonnulls(variadic keys) = 0 then
    perform reveille.insert_rows(ids, queues, tasks, priorities, run_ats, payloads, max_attemptss, timeouts, tagss, keys,
      array_fill(true, array[cardinality(ids)]));
    return query select u.nth, u.id, case when u.run_at > clock_timestamp() then 'scheduled' else 'queued' end, 'created'
      from unnest(ids, run_ats) with ordinality u (id, run_at, nth);
    return;
  end if;

  -- Every key that has no row is taken by the first job of this call that names it; the rows of the others are locked.
  with taken as (
    insert into reveille.unique_key as k (queue, key, id)
    select distinct on (u.queue, u.key) u.queue, u.key, u.id
    from unnest(queues, keys, ids) with ordinality u (queue, key, id, nth)
    where u.key is not null
    order by u.queue, u.key, u.nth
    on conflict (queue, key) do update set id = k.id where false
    returning k.id
  )
  select array_agg(taken.id) into created from taken;

  -- The lock may have been waited for: whether a holder has ended is asked in a fresh statement.
  with freed as (
    update reveille.unique_key k set id = u.id
    from (
      select distinct on (n.queue, n.key) n.queue, n.key, n.id
      from unnest(queues, keys, ids) with ordinality n (queue, key, id, nth)
      where n.key is not null
      order by n.queue, n.key, n.nth
    ) u
    where k.queue = u.queue and k.key = u.key and k.id <> u.id and reveille.has_ended(k.id)
    returning k.id
  )
  select created || array_agg(freed.id) into created from freed;

  perform reveille.insert_rows(ids, queues, tasks, priorities, run_ats, payloads, max_attemptss, timeouts, tagss, keys,
    array(select u.key is null or u.id = any (created) from unnest(keys, ids) with ordinality u (key, id, nth) order by u.nth));

  for item in
    select u.* from unnest(ids, queues, tasks, priorities, run_ats, payloads, max_attemptss, timeouts, tagss, keys, policies)
      with ordinality u (id, queue, task, priority, run_at, payload, max_attempts, timeout, tags, key, policy, nth)
    order by u.nth
  loop
    nth := item.nth;
    job_id := item.id;
    outcome := 'created';
    if item.key is not null and not coalesce(item.id = any (created), false) then
      select k.id into holder from reveille.unique_key k where k.queue = item.queue and k.key = item.key;
      outcome := case item.policy when 'reject' then 'rejected' else 'existing' end;
      job_id := holder;
      if item.policy = 'replace' then
        -- Whoever cancels or deletes a waiting job has locked its key first, so this waits for a claim at most.
        perform from reveille.ready r where r.id = holder for update;
        if found then
          outcome := 'replaced';
          update reveille.job j set task = item.task, priority = item.priority, run_at = item.run_at,
            payload = item.payload, max_attempts = item.max_attempts, timeout_seconds = item.timeout,
            tags = reveille.tag_array(item.tags)
            where j.id = holder;
          delete from reveille.ready r where r.id = holder;
          insert into reveille.ready (queue, task, priority, run_at, id, wakes)
            values (item.queue, item.task, item.priority, item.run_at, holder,
              (item.run_at < now() + interval '2 minutes')::integer);
        else
          outcome := 'created';
          job_id := item.id;
          insert into reveille.superseded as s (id, replacement) values (holder, item.id)
            on conflict (id) do update set replacement = excluded.replacement;
          update reveille.unique_key k set id = item.id where k.queue = item.queue and k.key = item.key;
          perform reveille.insert_rows(array[item.id], array[item.queue], array[item.task], array[item.priority],
            array[item.run_at], array[item.payload], array[item.max_attempts], array[item.timeout], array[item.tags],
            array[item.key], array[true]);
        end if;
      end if;
    end if;
    status := case outcome
      when 'created' then case when item.run_at > clock_timestamp() then 'scheduled' else 'queued' end
      else reveille.job_status(job_id) end;
    return next;
  end loop;
end $$;

revoke all on function reveille.has_ended(uuid), reveille.key_take(text, text, uuid), reveille.key_leave(uuid),
  reveille.key_free(uuid[]) from public;
