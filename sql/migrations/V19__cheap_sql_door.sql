-- The SQL door at nearly the price of the others. What is done for each job is an expression that PostgreSQL puts into the
-- statement (no subquery, nothing volatile, or it would run as a function of its own), and statements stand in plpgsql, which keeps
-- their plans for the session where sql, before PostgreSQL 18, plans them anew for each call.

-- A UUIDv7 is cheap if its randomness is drawn once for a call: `ticks` are 1/4096 ms since 1970, `seed` has the random bits.
-- The ids of one call differ by `nth`, and those of two by their seeds.
drop function reveille.uuid7(timestamptz, bigint);
create function reveille.uuid7_ticks(at timestamptz) returns bigint
language sql stable parallel safe as $$
  select floor(extract(epoch from at) * 4096000)::bigint
$$;
create function reveille.uuid7_seed() returns bigint
language sql volatile parallel safe as $$
  select ('x' || encode(substring(uuid_send(gen_random_uuid()) from 9), 'hex'))::bit(64)::bigint
$$;
create function reveille.uuid7(ticks bigint, seed bigint, nth bigint) returns uuid
language sql immutable parallel safe as $$
  select encode(int8send(((ticks + nth) >> 12 << 16) | (7 << 12) | ((ticks + nth) & 4095))
    || int8send((hashint8extended(nth, seed) & 4611686018427387903) | (-9223372036854775808)), 'hex')::uuid
$$;

-- Its exception block is a subtransaction, also for a job that has no time of its own.
alter function reveille.moment(text) strict;

create or replace function reveille.tag_array(tags jsonb) returns text[]
language plpgsql immutable strict as $$
begin
  return nullif(array(select jsonb_array_elements_text(tags)), '{}');
end $$;

-- True where the rule book would surely find nothing. A job that is not sound may still have no fault: job_faults knows.
create function reveille.text_is_sound(value jsonb) returns boolean
language sql immutable parallel safe as $$
  select case jsonb_typeof(value) when 'string' then true when 'null' then true else value is null end
$$;

create function reveille.number_is_sound(value jsonb, low numeric, high numeric) returns boolean
language sql immutable parallel safe as $$
  select case jsonb_typeof(value) when 'number' then value::numeric between low and high when 'null' then true else value is null end
$$;

create function reveille.integer_is_sound(value jsonb, low numeric, high numeric) returns boolean
language sql immutable parallel safe as $$
  select case jsonb_typeof(value)
    when 'number' then value::numeric between low and high and value::numeric % 1 = 0
    when 'null' then true
    else value is null
  end
$$;

create function reveille.tags_are_sound(value jsonb) returns boolean
language sql immutable parallel safe as $$
  select case jsonb_typeof(value)
    when 'array' then jsonb_array_length(value) <= 20 and not value ? ''
      and not jsonb_path_exists(value, 'strict $[*] ? (@.type() <> "string")')
      and (octet_length(value::text) <= 66 or not jsonb_path_exists(value, 'strict $[*] ? (@ like_regex ".{65}" flag "s")'))
    when 'null' then true
    else value is null
  end
$$;

create function reveille.payload_is_sound(payload jsonb) returns boolean
language sql stable parallel safe as $$
  select octet_length(payload::text) < 130
    or pg_column_size(payload) <= 170000
      and (octet_length(payload::text) <= 1400 or payload::text !~ '[0-9.]{250}')
      and (pg_column_size(payload) <= 250
        or not jsonb_path_exists(payload, 'strict $.**{64 to last} ? (@.type() == "object" || @.type() == "array")'))
$$;

create function reveille.job_is_sound(job jsonb) returns boolean
language sql stable as $$
  select case
    when jsonb_typeof(job) <> 'object' or not job ? 'payload' or not reveille.payload_is_sound(job -> 'payload') then false
    when not reveille.text_is_sound(job -> 'task') or job ->> 'task' ~ '[^a-zA-Z0-9_.:-]'
      or not octet_length(job ->> 'task') between 1 and 100 then false
    when not reveille.text_is_sound(job -> 'queue') or job ->> 'queue' ~ '[^a-z0-9_.-]'
      or not octet_length(job ->> 'queue') between 1 and 64 then false
    when job - '{payload,task,queue}'::text[] = '{}' then true
    when job - '{payload,task,queue,priority,run_at,delay_seconds,max_attempts,timeout_seconds,tags,unique_key,on_conflict}'::text[]
      <> '{}' then false
    when not reveille.integer_is_sound(job -> 'priority', 0, 9)
      or not reveille.integer_is_sound(job -> 'max_attempts', 1, 1000)
      or not reveille.number_is_sound(job -> 'delay_seconds', 0, 315360000)
      or not reveille.number_is_sound(job -> 'timeout_seconds', 0.001, 604800)
      or not reveille.tags_are_sound(job -> 'tags')
      or not reveille.text_is_sound(job -> 'unique_key') or not length(job ->> 'unique_key') between 1 and 255
      or not reveille.text_is_sound(job -> 'run_at')
      or job ->> 'run_at' is not null and job ->> 'delay_seconds' is not null then false
    when job ->> 'run_at' is not null and coalesce(not reveille.moment(job ->> 'run_at')
      between '1970-01-01 00:00:00+00' and now() + interval '315360000 seconds', true) then false
    when job ->> 'on_conflict' is not null then job ->> 'unique_key' is not null and jsonb_typeof(job -> 'on_conflict') = 'string'
      and job ->> 'on_conflict' in ('keep', 'reject', 'replace')
    else true
  end
$$;

-- The columns of checked jobs. Their own time wins, then a delay, then the moment of the call.
create function reveille.job_rows(jobs jsonb, moment timestamptz, ticks bigint, seed bigint) returns table (
  nth bigint, id uuid, queue text, task text, priority smallint, run_at timestamptz, payload jsonb, max_attempts integer,
  timeout double precision, tags jsonb, key text, policy text
)
language sql stable as $$
  select e.nth, reveille.uuid7(ticks, seed, e.nth),
    coalesce(e.job ->> 'queue', 'default'),
    coalesce(e.job ->> 'task',
      case when jsonb_typeof(e.job -> 'payload' -> 'task') = 'string' then substring(e.job -> 'payload' ->> 'task' from '^[a-zA-Z0-9_.:-]{1,100}$') end,
      'echo'),
    coalesce((e.job ->> 'priority')::numeric, 5)::smallint,
    coalesce(reveille.moment(e.job ->> 'run_at'), moment + round((e.job ->> 'delay_seconds')::numeric, 6)::double precision * interval '1 second', moment),
    e.job -> 'payload',
    (e.job ->> 'max_attempts')::numeric::integer,
    (e.job ->> 'timeout_seconds')::double precision,
    case jsonb_typeof(e.job -> 'tags') when 'array' then e.job -> 'tags' end,
    e.job ->> 'unique_key',
    coalesce(e.job ->> 'on_conflict', 'keep')
  from jsonb_array_elements(jobs) with ordinality e (job, nth)
$$;

create or replace function reveille.insert_rows(
  ids uuid[], queues text[], tasks text[], priorities smallint[], run_ats timestamptz[], payloads jsonb[],
  max_attemptss integer[], timeouts double precision[], tagss jsonb[], keys text[], wanteds boolean[]
) returns void
language plpgsql as $$
begin
  with u as materialized (
    select *, row_number() over (partition by u.queue, u.task, u.priority order by u.run_at, u.id) as nth
    from unnest(ids, queues, tasks, priorities, run_ats, payloads, max_attemptss, timeouts, tagss, keys, wanteds)
      u (id, queue, task, priority, run_at, payload, max_attempts, timeout, tags, key, wanted)
    where u.wanted
  ), j as (
    insert into reveille.job (id, queue, task, priority, run_at, payload, max_attempts, timeout_seconds, tags, unique_key)
    select u.id, u.queue, u.task, u.priority, u.run_at, u.payload, u.max_attempts, u.timeout, reveille.tag_array(u.tags), u.key from u
  )
  insert into reveille.ready (queue, task, priority, run_at, id, wakes)
  select u.queue, u.task, u.priority, u.run_at, u.id, (u.run_at < clock_timestamp() + interval '2 minutes' and u.nth = 1)::integer from u;
end $$;

-- A plan made for one call's arrays would be thrown away, and cost more than the call.
alter function reveille.submit_many(jsonb) set plan_cache_mode = force_generic_plan;
alter function reveille.submit(text, jsonb, text, integer, timestamptz, double precision, integer, double precision, text[], text, text)
  set plan_cache_mode = force_generic_plan;

-- Checks and submits. Faults of a list have its index before their pointer: '/0' and so on.
create or replace function reveille.submit_checked(jobs jsonb, listed boolean)
returns table (nth bigint, job_id uuid, status text, outcome text)
language plpgsql as $$
#variable_conflict use_column
declare
  faults jsonb;
  summary text;
  moment timestamptz := clock_timestamp();
  ticks bigint := reveille.uuid7_ticks(moment);
  seed bigint := reveille.uuid7_seed();
  a record;
  answers jsonb;
begin
  if exists (select from jsonb_array_elements(jobs) e (job) where not reveille.job_is_sound(e.job)) then
    select jsonb_agg(jsonb_build_object('pointer', f.pointer, 'code', f.code, 'message', f.message) order by f.nth, f.pointer),
           string_agg(f.pointer || ' ' || f.message, '; ' order by f.nth, f.pointer) filter (where f.rank <= 10)
    into faults, summary
    from (
      select e.nth, case when listed then '/' || e.nth - 1 else '' end || f.pointer as pointer, f.code, f.message, row_number() over () as rank
      from jsonb_array_elements(jobs) with ordinality e (job, nth) cross join lateral reveille.job_faults(e.job) f
      where not reveille.job_is_sound(e.job)
    ) f;
    if faults is not null then
      raise exception using errcode = 'invalid_parameter_value', message = 'nothing was submitted: ' || summary,
        detail = faults::text, hint = 'Mend the fields that the message names, and submit again.';
    end if;
  end if;

  -- Without keys nothing can be in the way, and one statement writes it all.
  if not exists (select from jsonb_array_elements(jobs) e (job) where e.job ->> 'unique_key' is not null) then
    if to_regclass('reveille.' || reveille.partition_name('job', moment)) is null then
      perform reveille.partition_ensure();
    end if;
    return query
      with e as materialized (
        select * from reveille.job_rows(jobs, moment, ticks, seed)
      ), first as materialized (
        select min(e.nth) as nth from e where e.run_at < moment + interval '2 minutes' group by e.queue, e.task, e.priority
      ), j as (
        insert into reveille.job (id, queue, task, priority, run_at, payload, max_attempts, timeout_seconds, tags)
        select e.id, e.queue, e.task, e.priority, e.run_at, e.payload, e.max_attempts, e.timeout, reveille.tag_array(e.tags) from e
      ), r as (
        insert into reveille.ready (queue, task, priority, run_at, id, wakes)
        select e.queue, e.task, e.priority, e.run_at, e.id, (e.nth in (select f.nth from first f))::integer from e
      )
      select e.nth, e.id, case when e.run_at > clock_timestamp() then 'scheduled' else 'queued' end, 'created' from e;
    return;
  end if;

  select array_agg(e.id) as ids, array_agg(e.queue) as queues, array_agg(e.task) as tasks, array_agg(e.priority) as priorities,
    array_agg(e.run_at) as run_ats, array_agg(e.payload) as payloads, array_agg(e.max_attempts) as max_attemptss,
    array_agg(e.timeout) as timeouts, array_agg(e.tags) as tagss, array_agg(e.key) as keys, array_agg(e.policy) as policies
  into a
  from reveille.job_rows(jobs, moment, ticks, seed) e;
  select jsonb_agg(to_jsonb(r) order by r.nth) into answers
  from reveille.submit_rows(a.ids, a.queues, a.tasks, a.priorities, a.run_ats, a.payloads, a.max_attemptss,
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

revoke all on all functions in schema reveille from public;
