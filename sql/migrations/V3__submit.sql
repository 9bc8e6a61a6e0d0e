-- The second door: plain SQL, in the caller's own transaction, with the rules of the first.
-- A role needs USAGE on the schema and EXECUTE on submit or submit_many, and nothing else.

-- Inserts jobs that were checked already, the whole of it one statement when none carries a unique key. Jobs with a key
-- go one by one after all their keys were taken and locked in key order, so that two callers cannot deadlock.
create function reveille.submit_rows(
  ids uuid[], queues text[], tasks text[], priorities smallint[], run_ats timestamptz[], payloads jsonb[],
  max_attemptss integer[], timeouts double precision[], tagss jsonb[], keys text[], policies text[]
) returns table (nth bigint, job_id uuid, status text, outcome text)
language plpgsql as $$
declare
  item record;
  created uuid[];
  holder uuid;
  waiting reveille.ready;
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

  -- Every free key is taken by the first job of this call that names it.
  with taken as (
    insert into reveille.unique_key (queue, key, id)
    select distinct on (u.queue, u.key) u.queue, u.key, u.id
    from unnest(queues, keys, ids) with ordinality u (queue, key, id, nth)
    where u.key is not null
    order by u.queue, u.key, u.nth
    on conflict do nothing
    returning unique_key.id
  )
  select array_agg(id) into created from taken;

  perform reveille.insert_rows(ids, queues, tasks, priorities, run_ats, payloads, max_attemptss, timeouts, tagss, keys,
    array(select u.key is null or u.id = any (created) from unnest(keys, ids) with ordinality u (key, id, nth) order by u.nth));

  -- Who holds the other keys is read in a fresh statement, and locked until the end.
  perform from reveille.unique_key k
    where (k.queue, k.key) in (select u.queue, u.key from unnest(queues, keys) u (queue, key) where u.key is not null)
    order by k.queue, k.key for update;

  for item in
    select u.* from unnest(ids, queues, tasks, priorities, run_ats, payloads, max_attemptss, timeouts, tagss, keys, policies)
      with ordinality u (id, queue, task, priority, run_at, payload, max_attempts, timeout, tags, key, policy, nth)
    order by u.nth
  loop
    nth := item.nth;
    job_id := item.id;
    outcome := 'created';
    if item.key is not null and not coalesce(item.id = any (created), false) then
      loop
        select k.id into holder from reveille.unique_key k where k.queue = item.queue and k.key = item.key for update;
        exit when found;
        insert into reveille.unique_key (queue, key, id) values (item.queue, item.key, item.id)
          on conflict do nothing returning unique_key.id into holder;
        exit when found;
      end loop;
      if holder <> item.id then
        outcome := case item.policy when 'reject' then 'rejected' else 'existing' end;
        job_id := holder;
        if item.policy = 'replace' then
          -- One that somebody else has a hand on is being claimed or cancelled: it is left alone.
          select r.* into waiting from reveille.ready r where r.id = holder for update skip locked;
          if found then
            outcome := 'replaced';
            update reveille.job j set task = item.task, priority = item.priority, run_at = item.run_at,
              payload = item.payload, max_attempts = item.max_attempts, timeout_seconds = item.timeout,
              tags = reveille.tag_array(item.tags)
              where j.id = holder;
            delete from reveille.ready r where r.id = holder;
            insert into reveille.ready (queue, task, priority, run_at, id, attempt, crashes, wakes)
              values (item.queue, item.task, item.priority, item.run_at, holder, waiting.attempt, waiting.crashes,
                (item.run_at < now() + interval '2 minutes')::integer);
          else
            outcome := 'created';
            job_id := item.id;
            update reveille.unique_key k set id = item.id where k.queue = item.queue and k.key = item.key;
          end if;
        end if;
      end if;
      if outcome = 'created' then
        perform reveille.insert_rows(array[item.id], array[item.queue], array[item.task], array[item.priority],
          array[item.run_at], array[item.payload], array[item.max_attempts], array[item.timeout], array[item.tags],
          array[item.key], array[true]);
      end if;
    end if;
    status := case outcome
      when 'created' then case when item.run_at > clock_timestamp() then 'scheduled' else 'queued' end
      else reveille.job_status(job_id) end;
    return next;
  end loop;
end $$;

create function reveille.tag_array(tags jsonb) returns text[]
language sql immutable strict as $$
  select nullif(array(select jsonb_array_elements_text(tags)), '{}')
$$;

-- Writes the rows whose `wanted` is true, and marks the first of each lane that is due before the poll after next
-- (poll intervals are at most a minute).
create function reveille.insert_rows(
  ids uuid[], queues text[], tasks text[], priorities smallint[], run_ats timestamptz[], payloads jsonb[],
  max_attemptss integer[], timeouts double precision[], tagss jsonb[], keys text[], wanteds boolean[]
) returns void
language sql volatile as $$
  with j as (
    insert into reveille.job (id, queue, task, priority, run_at, payload, max_attempts, timeout_seconds, tags, unique_key)
    select u.id, u.queue, u.task, u.priority, u.run_at, u.payload, u.max_attempts, u.timeout, reveille.tag_array(u.tags), u.key
    from unnest(ids, queues, tasks, priorities, run_ats, payloads, max_attemptss, timeouts, tagss, keys, wanteds)
      u (id, queue, task, priority, run_at, payload, max_attempts, timeout, tags, key, wanted)
    where u.wanted
    returning queue, task, priority, run_at, id
  )
  insert into reveille.ready (queue, task, priority, run_at, id, wakes)
  select queue, task, priority, run_at, id,
    (run_at < now() + interval '2 minutes'
      and row_number() over (partition by queue, task, priority order by run_at, id) = 1)::integer
  from j
$$;

-- Null where the text is no moment (RFC 3339) that exists.
create function reveille.moment(value text) returns timestamptz
language plpgsql immutable as $$
begin
  if value !~ '^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$' then return null; end if;
  return value::timestamptz;
exception when datetime_field_overflow or invalid_datetime_format then
  return null;
end $$;

-- The rule book of a submission, one row for each fault: the codes are those of the HTTP API.
create function reveille.job_faults(job jsonb) returns table (pointer text, code text, message text)
language sql stable as $$
  select '', 'wrong_type', 'a job is a JSON object' where jsonb_typeof(job) <> 'object'
  union all
  select f.* from (
    select '/' || replace(replace(k, '~', '~0'), '/', '~1'), 'unknown_field',
      'there is no such field; there are payload, task, queue, priority, run_at, delay_seconds, max_attempts, timeout_seconds, tags, unique_key and on_conflict'
    from jsonb_object_keys(job) k
    where k not in ('payload', 'task', 'queue', 'priority', 'run_at', 'delay_seconds', 'max_attempts', 'timeout_seconds',
      'tags', 'unique_key', 'on_conflict')
    union all
    select '/payload', 'required', 'a job needs a payload; it may be null' where not job ? 'payload'
    union all
    select '/payload', 'too_deep', 'a payload may nest 64 levels'
      where pg_column_size(job -> 'payload') > 250
        and jsonb_path_exists(job -> 'payload', 'strict $.**{64 to last} ? (@.type() == "object" || @.type() == "array")')
    union all
    select '/payload', 'too_large', 'a payload may have 1 MiB'
      where pg_column_size(job -> 'payload') > 170000 and octet_length((job -> 'payload')::text) > 1048576
    union all
    select '/' || t.name, 'wrong_type', t.name || ' must be ' || t.wanted
      from (values ('task', 'string', 'a string'), ('queue', 'string', 'a string'), ('priority', 'number', 'an integer'),
        ('run_at', 'string', 'a string'), ('delay_seconds', 'number', 'a number'), ('max_attempts', 'number', 'an integer'),
        ('timeout_seconds', 'number', 'a number'), ('tags', 'array', 'an array of strings'),
        ('unique_key', 'string', 'a string'), ('on_conflict', 'string', 'a string')) t (name, type, wanted)
      where job ? t.name and jsonb_typeof(job -> t.name) not in (t.type, 'null')
        or t.wanted = 'an integer' and jsonb_typeof(job -> t.name) = 'number' and (job ->> t.name)::numeric % 1 <> 0
    union all
    select '/task', 'invalid_name', 'a task is 1 to 100 of a-z A-Z 0-9 _ - . :'
      where jsonb_typeof(job -> 'task') = 'string' and job ->> 'task' !~ '^[a-zA-Z0-9_.:-]{1,100}$'
    union all
    select '/queue', 'invalid_name', 'a queue is 1 to 64 of a-z 0-9 _ - .'
      where jsonb_typeof(job -> 'queue') = 'string' and job ->> 'queue' !~ '^[a-z0-9_.-]{1,64}$'
    union all
    select '/' || r.name, 'out_of_range', r.name || ' must be ' || r.range
      from (values ('priority', 0, 9, 'from 0 (first) to 9'), ('delay_seconds', 0, 315360000, 'from 0 to 315360000 (ten years)'),
        ('max_attempts', 1, 1000, 'from 1 to 1000'), ('timeout_seconds', 0.001, 604800, 'from 0.001 to 604800 (seven days)')) r (name, least, most, range)
      where jsonb_typeof(job -> r.name) = 'number' and not (job ->> r.name)::numeric between r.least and r.most
    union all
    select '/run_at', 'invalid_time', 'run_at must be a time by RFC 3339, such as 2026-11-24T08:00:00Z'
      where jsonb_typeof(job -> 'run_at') = 'string' and reveille.moment(job ->> 'run_at') is null
    union all
    select '/run_at', 'out_of_range', 'run_at must lie between the year 1970 and ten years from now'
      where jsonb_typeof(job -> 'run_at') = 'string'
        and not reveille.moment(job ->> 'run_at') between '1970-01-01 00:00:00+00' and now() + interval '315360000 seconds'
    union all
    select '/delay_seconds', 'conflicting_fields', 'give run_at or delay_seconds, not both'
      where jsonb_typeof(job -> 'run_at') <> 'null' and jsonb_typeof(job -> 'delay_seconds') <> 'null'
    union all
    select '/tags', 'too_many', 'a job has at most 20 tags'
      where jsonb_typeof(job -> 'tags') = 'array' and jsonb_array_length(job -> 'tags') > 20
    union all
    select '/tags/' || t.nth - 1, case jsonb_typeof(t.tag) when 'string' then 'invalid_length' else 'wrong_type' end,
      'a tag is a string of 1 to 64 characters'
      from jsonb_array_elements(case jsonb_typeof(job -> 'tags') when 'array' then job -> 'tags' else '[]' end) with ordinality t (tag, nth)
      where jsonb_typeof(t.tag) <> 'string' or not length(t.tag #>> '{}') between 1 and 64
    union all
    select '/unique_key', 'invalid_length', 'a unique key has 1 to 255 characters'
      where jsonb_typeof(job -> 'unique_key') = 'string' and not length(job ->> 'unique_key') between 1 and 255
    union all
    select '/on_conflict', 'invalid_value', 'on_conflict is keep, reject or replace'
      where jsonb_typeof(job -> 'on_conflict') = 'string' and job ->> 'on_conflict' not in ('keep', 'reject', 'replace')
    union all
    select '/on_conflict', 'requires_unique_key', 'on_conflict says what to do about a unique_key; give one, or leave it out'
      where jsonb_typeof(job -> 'on_conflict') <> 'null' and coalesce(jsonb_typeof(job -> 'unique_key'), 'null') = 'null'
  ) f
  where jsonb_typeof(job) = 'object'
$$;

-- Checks and submits. `base` is put before every pointer of the errors: '/0' and so on for a list, nothing for one job.
create function reveille.submit_checked(jobs jsonb, listed boolean)
returns table (nth bigint, job_id uuid, status text, outcome text)
language plpgsql as $$
#variable_conflict use_column
declare
  faults jsonb;
  summary text;
  moment timestamptz := clock_timestamp();
  answers jsonb;
begin
  select jsonb_agg(jsonb_build_object('pointer', f.pointer, 'code', f.code, 'message', f.message) order by f.nth, f.pointer),
         string_agg(f.pointer || ' ' || f.message, '; ' order by f.nth, f.pointer) filter (where f.rank <= 10)
  into faults, summary
  from (
    select e.nth, case when listed then '/' || e.nth - 1 else '' end || f.pointer as pointer, f.code, f.message, row_number() over () as rank
    from jsonb_array_elements(jobs) with ordinality e (job, nth) cross join lateral reveille.job_faults(e.job) f
  ) f;
  if faults is not null then
    raise exception using errcode = 'invalid_parameter_value', message = 'nothing was submitted: ' || summary,
      detail = faults::text, hint = 'Mend the fields that the message names, and submit again.';
  end if;

  select jsonb_agg(to_jsonb(r) order by r.nth) into answers
  from (
    select array_agg(reveille.uuid7(moment, e.nth)) as ids,
      array_agg(coalesce(e.job ->> 'queue', 'default')) as queues,
      array_agg(coalesce(e.job ->> 'task',
        case when jsonb_typeof(e.job -> 'payload' -> 'task') = 'string' then substring(e.job -> 'payload' ->> 'task' from '^[a-zA-Z0-9_.:-]{1,100}$') end,
        'echo')) as tasks,
      array_agg(coalesce((e.job ->> 'priority')::numeric, 5)::smallint) as priorities,
      array_agg(coalesce(reveille.moment(e.job ->> 'run_at'),
        moment + coalesce((e.job ->> 'delay_seconds')::double precision, 0) * interval '1 second')) as run_ats,
      array_agg(e.job -> 'payload') as payloads,
      array_agg((e.job ->> 'max_attempts')::numeric::integer) as max_attemptss,
      array_agg((e.job ->> 'timeout_seconds')::double precision) as timeouts,
      array_agg(case jsonb_typeof(e.job -> 'tags') when 'array' then e.job -> 'tags' end) as tagss,
      array_agg(e.job ->> 'unique_key') as keys,
      array_agg(coalesce(e.job ->> 'on_conflict', 'keep')) as policies
    from (select * from jsonb_array_elements(jobs) with ordinality e (job, nth) order by nth) e
  ) a
  cross join lateral reveille.submit_rows(a.ids, a.queues, a.tasks, a.priorities, a.run_ats, a.payloads, a.max_attemptss,
    a.timeouts, a.tagss, a.keys, a.policies) r;

  select jsonb_agg(jsonb_build_object('pointer', case when listed then '/' || r.nth - 1 else '' end || '/unique_key',
           'code', 'unique_key_conflict', 'message', 'job ' || r.job_id || ' holds this key', 'job_id', r.job_id) order by r.nth)
  into faults
  from jsonb_to_recordset(answers) r (nth bigint, job_id uuid, outcome text) where r.outcome = 'rejected';
  if faults is not null then
    raise exception using errcode = 'unique_violation', message = 'nothing was submitted: a job that has not ended holds the unique key',
      detail = faults::text, hint = 'Wait for that job to end, use another key, or submit with on_conflict keep or replace.';
  end if;
  return query select r.nth, r.job_id, r.status, r.outcome
    from jsonb_to_recordset(answers) r (nth bigint, job_id uuid, status text, outcome text);
end $$;

-- Submits one job in the caller's transaction. The job exists if that transaction commits.
create function reveille.submit(
  task text default null, payload jsonb default null, queue text default null, priority integer default null,
  run_at timestamptz default null, delay_seconds double precision default null, max_attempts integer default null,
  timeout_seconds double precision default null, tags text[] default null, unique_key text default null,
  on_conflict text default null
) returns table (job_id uuid, status text, outcome text)
language sql volatile security definer set search_path = reveille, pg_temp as $$
  select s.job_id, s.status, s.outcome
  from reveille.submit_checked(jsonb_build_array(
    jsonb_build_object('task', $1, 'queue', $3, 'priority', $4, 'run_at', $5, 'delay_seconds', $6, 'max_attempts', $7,
      'timeout_seconds', $8, 'tags', $9, 'unique_key', $10, 'on_conflict', $11)
    || case when $2 is null then '{}' else jsonb_build_object('payload', $2) end), false) s
$$;

-- Submits a list of jobs, all or none: objects with the fields of `submit`. Answers in their order.
create function reveille.submit_many(jobs jsonb) returns table (job_id uuid, status text, outcome text)
language plpgsql volatile security definer set search_path = reveille, pg_temp as $$
begin
  if jsonb_typeof(jobs) is distinct from 'array' or jsonb_array_length(jobs) not between 1 and 10000 then
    raise exception using errcode = 'invalid_parameter_value', message = 'submit_many takes a JSON array of 1 to 10000 jobs',
      detail = '[{"pointer": "", "code": "batch_size", "message": "a batch is a JSON array of 1 to 10000 jobs"}]',
      hint = 'Split a longer list into several calls.';
  end if;
  return query select s.job_id, s.status, s.outcome from reveille.submit_checked(jobs, true) s order by s.nth;
end $$;

-- Nobody but the owner calls anything here until a grant says so.
revoke all on all functions in schema reveille from public;
