-- The schema, as all migrations and the files of functions make it: for reviewing what a change
-- of either does. Weekly partitions are left out. `make schema` writes this file, and a test
-- compares it.

create type reveille.end_state as enum ('completed', 'failed', 'cancelled');

create table reveille.attempt (
  id uuid not null,
  lease uuid not null,
  worker uuid,
  claimed_at timestamp with time zone,
  ended_at timestamp with time zone not null default now(),
  attempt integer not null,
  ending text not null,
  result jsonb,
  error jsonb,
  worker_name text,
  redriven_at timestamp with time zone,
  constraint attempt_pkey PRIMARY KEY (id, lease),
  constraint attempt_ending_check CHECK ((ending = ANY (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text, 'lost'::text, 'released'::text, 'snoozed'::text])))
) partition by RANGE (id);

create table reveille.audit (
  id uuid not null,
  at timestamp with time zone not null default now(),
  principal text not null,
  action text not null,
  target text not null,
  reason text,
  request_id text,
  constraint audit_pkey PRIMARY KEY (id)
);

create table reveille.canary (
  operation uuid not null,
  id uuid not null,
  moved_at timestamp with time zone not null default now(),
  constraint canary_pkey PRIMARY KEY (operation, id)
);

create table reveille.compatibility (
  oldest_service integer not null
);

create table reveille.definition (
  name text collate "C" not null,
  release integer not null,
  checksum text not null,
  constraint definition_pkey PRIMARY KEY (name)
);

create table reveille.expiry (
  id uuid not null,
  since timestamp with time zone not null,
  at timestamp with time zone not null,
  constraint expiry_pkey PRIMARY KEY (id)
) with (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_cost_delay=0);

create table reveille.freed (
  queue text collate "C" not null,
  key text collate "C" not null,
  wakes smallint not null default 1
) with (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_cost_delay=0);

create table reveille.gate (
  queue text collate "C" not null,
  key text collate "C" not null,
  holders uuid[] not null default '{}'::uuid[],
  constraint gate_pkey PRIMARY KEY (queue, key)
) with (fillfactor=50, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_delay=0);

create table reveille.idempotency (
  principal text collate "C" not null,
  path text collate "C" not null,
  key text collate "C" not null,
  fingerprint bytea not null,
  ids uuid[] not null,
  statuses text[] not null,
  outcomes text[] not null,
  at timestamp with time zone not null default clock_timestamp(),
  constraint idempotency_pkey PRIMARY KEY (principal, path, key)
);

create table reveille.job (
  id uuid not null,
  run_at timestamp with time zone not null,
  timeout_seconds double precision,
  max_attempts integer,
  priority smallint not null,
  queue text not null,
  task text not null,
  payload jsonb not null,
  tags text[],
  unique_key text,
  settings jsonb,
  constraint job_pkey PRIMARY KEY (id)
) partition by RANGE (id);

create table reveille.keyed (
  queue text collate "C" not null,
  key text collate "C" not null,
  run_at timestamp with time zone not null,
  id uuid not null,
  task text collate "C" not null,
  priority smallint not null,
  attempt integer not null default 0,
  crashes smallint not null default 0,
  look smallint not null,
  wakes smallint not null default 0,
  constraint keyed_pkey PRIMARY KEY (queue, key, run_at, id)
) with (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_delay=0, autovacuum_vacuum_insert_threshold=-1, vacuum_truncate=off);

create table reveille.leader (
  name text collate "C" not null,
  worker uuid not null,
  until timestamp with time zone not null,
  constraint leader_pkey PRIMARY KEY (name)
) with (fillfactor=50);

create table reveille.lease (
  lease uuid not null,
  worker uuid not null,
  claimed_at timestamp with time zone not null default now(),
  ids uuid[] not null,
  attempts integer[] not null,
  crashes smallint[] not null,
  cancels uuid[] not null default '{}'::uuid[],
  constraint lease_pkey PRIMARY KEY (lease),
  constraint lease_check CHECK (((cardinality(ids) > 0) AND (cardinality(ids) = cardinality(attempts)) AND (cardinality(ids) = cardinality(crashes))))
) with (toast_tuple_target=8160, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_cost_delay=0, autovacuum_vacuum_insert_threshold=-1, vacuum_truncate=off);

create table reveille.migration (
  version integer not null,
  name character varying(255),
  applied_on character varying(255),
  checksum character varying(255),
  constraint migration_pkey PRIMARY KEY (version)
);

create table reveille.operation (
  id uuid not null,
  kind text not null,
  filter jsonb not null,
  id_bound uuid not null,
  cursor jsonb,
  rate double precision,
  created_at timestamp with time zone not null default now(),
  starts_at timestamp with time zone not null,
  next_at timestamp with time zone,
  worked_at timestamp with time zone,
  stopped_at timestamp with time zone,
  outcome text,
  matched bigint not null,
  matched_estimated boolean not null,
  moved bigint not null default 0,
  skipped bigint not null default 0,
  skips jsonb not null default '[]'::jsonb,
  canary jsonb,
  halted_by uuid,
  reason text,
  principal text not null,
  constraint operation_pkey PRIMARY KEY (id),
  constraint operation_ended_check CHECK (((stopped_at IS NULL) = (outcome IS NULL))),
  constraint operation_kind_check CHECK ((kind = ANY (ARRAY['redrive'::text, 'purge'::text]))),
  constraint operation_outcome_check CHECK ((outcome = ANY (ARRAY['completed'::text, 'stopped'::text, 'halted'::text])))
);

create table reveille.outcome (
  id uuid not null,
  lease uuid,
  worker uuid,
  claimed_at timestamp with time zone,
  ended_at timestamp with time zone not null default now(),
  attempt integer not null,
  state reveille.end_state not null,
  result jsonb,
  error jsonb,
  worker_name text,
  family bigint,
  constraint outcome_pkey PRIMARY KEY (id)
) partition by RANGE (id);

create table reveille.progress (
  id uuid not null,
  updated_at timestamp with time zone not null default now(),
  fraction double precision,
  message text,
  constraint progress_pkey PRIMARY KEY (id),
  constraint progress_fraction_check CHECK (((fraction >= (0)::double precision) AND (fraction <= (1)::double precision)))
) with (fillfactor=70);

create table reveille.queue (
  name text collate "C" not null,
  created_at timestamp with time zone not null default now(),
  paused_at timestamp with time zone,
  settings jsonb,
  of_file text[],
  settings_at timestamp with time zone,
  paused_until timestamp with time zone,
  paused_by text,
  pause_reason text,
  pause_of timestamp with time zone,
  touched_at timestamp with time zone not null default now(),
  constraint queue_pkey PRIMARY KEY (name),
  constraint queue_name_check CHECK ((name ~ '^[a-z0-9_.-]{1,64}$'::text))
);

create table reveille.ready (
  queue text collate "C" not null,
  task text collate "C" not null,
  priority smallint not null,
  run_at timestamp with time zone not null,
  id uuid not null,
  attempt integer not null default 0,
  crashes smallint not null default 0,
  wakes smallint not null default 0,
  payload jsonb,
  constraint ready_pkey PRIMARY KEY (queue, task, priority, run_at, id)
) with (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_delay=0, autovacuum_vacuum_insert_threshold=-1, vacuum_truncate=off);

create table reveille.settings_clock (
  one boolean not null default true,
  at timestamp with time zone not null,
  constraint settings_clock_pkey PRIMARY KEY (one),
  constraint settings_clock_one_check CHECK (one)
);

create table reveille.settings_file (
  digest text collate "C" not null,
  applied_at timestamp with time zone not null default clock_timestamp(),
  constraint settings_file_pkey PRIMARY KEY (digest)
);

create table reveille.superseded (
  id uuid not null,
  replacement uuid not null,
  constraint superseded_pkey PRIMARY KEY (id)
);

create table reveille.sweeper (
  queue text collate "C" not null,
  constraint sweeper_pkey PRIMARY KEY (queue)
);

create table reveille.task (
  name text collate "C" not null,
  description text not null default ''::text,
  max_attempts integer not null,
  timeout_seconds double precision,
  payload_schema jsonb,
  result_schema jsonb,
  example jsonb,
  updated_at timestamp with time zone not null default now(),
  retry jsonb,
  constraint task_pkey PRIMARY KEY (name),
  constraint task_name_check CHECK ((name ~ '^[a-zA-Z0-9_.:-]{1,100}$'::text))
);

create table reveille.unique_key (
  queue text collate "C" not null,
  key text collate "C" not null,
  id uuid not null,
  until timestamp with time zone,
  first_at timestamp with time zone,
  constraint unique_key_pkey PRIMARY KEY (queue, key)
) with (autovacuum_vacuum_scale_factor=0.02);

create table reveille.week (
  number integer not null,
  removing_since timestamp with time zone,
  constraint week_pkey PRIMARY KEY (number)
);

create table reveille.worker (
  id uuid not null,
  name text not null,
  version text not null,
  host text not null,
  pid integer not null,
  started_at timestamp with time zone not null default now(),
  heartbeat_at timestamp with time zone not null default now(),
  lost_after interval not null,
  slots integer not null,
  running integer not null default 0,
  draining boolean not null default false,
  queues text[],
  tasks text[] not null,
  constraint worker_pkey PRIMARY KEY (id)
) with (fillfactor=50, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=500);

CREATE INDEX expiry_at ON reveille.expiry USING btree (at);

CREATE INDEX freed_key ON reveille.freed USING btree (queue, key);

CREATE INDEX idempotency_at ON reveille.idempotency USING btree (at);

CREATE INDEX job_tags ON ONLY reveille.job USING gin (tags) WHERE (tags IS NOT NULL);

CREATE INDEX job_tags_bytes ON ONLY reveille.job USING gin (tags COLLATE "C") WHERE (tags IS NOT NULL);

CREATE INDEX job_unique_key ON ONLY reveille.job USING btree (unique_key, id) WHERE (unique_key IS NOT NULL);

CREATE INDEX job_unique_key_bytes ON ONLY reveille.job USING btree (unique_key COLLATE "C", id) WHERE (unique_key IS NOT NULL);

CREATE INDEX keyed_fresh ON reveille.keyed USING btree (queue, key, run_at, id) WHERE (look = 1);

CREATE UNIQUE INDEX keyed_id ON reveille.keyed USING btree (id);

CREATE INDEX keyed_lane ON reveille.keyed USING btree (queue, task, priority, run_at, id);

CREATE INDEX keyed_later ON reveille.keyed USING btree (queue, run_at, id) WHERE (look = 2);

CREATE INDEX lease_worker ON reveille.lease USING btree (worker);

CREATE INDEX operation_open ON reveille.operation USING btree (id) WHERE (stopped_at IS NULL);

CREATE INDEX outcome_ended ON ONLY reveille.outcome USING btree (state, ended_at);

CREATE INDEX outcome_family ON ONLY reveille.outcome USING btree (family, id) INCLUDE (ended_at) WHERE (state = 'failed'::reveille.end_state);

CREATE INDEX outcome_unwell ON ONLY reveille.outcome USING btree (id) WHERE (state <> 'completed'::reveille.end_state);

CREATE INDEX queue_paused ON reveille.queue USING btree (name) WHERE (paused_at IS NOT NULL);

CREATE INDEX queue_paused_until ON reveille.queue USING btree (paused_until) WHERE (paused_until IS NOT NULL);

CREATE INDEX queue_priority ON reveille.queue USING btree (name) WHERE (settings ? 'priority'::text);

CREATE INDEX queue_settings_at ON reveille.queue USING btree (settings_at) WHERE (settings_at IS NOT NULL);

CREATE UNIQUE INDEX ready_id ON reveille.ready USING btree (id);

CREATE INDEX ready_suspect ON reveille.ready USING btree (run_at, id) WHERE (crashes >= 2);

CREATE INDEX superseded_replacement ON reveille.superseded USING btree (replacement);

CREATE UNIQUE INDEX unique_key_id ON reveille.unique_key USING btree (id);

CREATE INDEX unique_key_until ON reveille.unique_key USING btree (until) WHERE (until IS NOT NULL);

create view reveille.dead_letters as
 SELECT j.task,
    j.queue,
    o.family,
    (o.error ->> 'code'::text) AS code,
    count(*) AS jobs,
    min(o.ended_at) AS first_failed_at,
    max(o.ended_at) AS last_failed_at,
    (array_agg(o.id ORDER BY o.ended_at DESC))[1] AS example_job_id,
    (array_agg(o.error ORDER BY o.ended_at DESC))[1] AS error
   FROM (reveille.outcome o
     JOIN reveille.job j ON ((j.id = o.id)))
  WHERE (o.state = 'failed'::reveille.end_state)
  GROUP BY j.task, j.queue, o.family, (o.error ->> 'code'::text);

create view reveille.jobs as
 SELECT j.id AS job_id,
        CASE
            WHEN (r.id IS NOT NULL) THEN
            CASE
                WHEN (r.run_at > now()) THEN 'scheduled'::text
                ELSE 'queued'::text
            END
            WHEN (o.id IS NOT NULL) THEN (o.state)::text
            ELSE 'processing'::text
        END AS status,
    j.queue,
    j.task,
    j.priority,
    COALESCE(r.run_at, j.run_at) AS run_at,
    reveille.uuid7_time(j.id) AS created_at,
    COALESCE(r.attempt, o.attempt, l.attempts[array_position(l.ids, j.id)]) AS attempt_count,
    COALESCE(r.crashes, l.crashes[array_position(l.ids, j.id)], (0)::smallint) AS crashes,
    COALESCE(j.max_attempts, ((q.settings ->> 'max_attempts'::text))::integer, t.max_attempts, 10) AS max_attempts,
    COALESCE(j.timeout_seconds, ((q.settings ->> 'timeout_seconds'::text))::double precision, t.timeout_seconds, (900)::double precision) AS timeout_seconds,
    j.tags,
    j.unique_key,
    j.payload,
    COALESCE(o.lease, l.lease) AS lease,
    COALESCE(o.worker, l.worker) AS worker,
    COALESCE(o.worker_name, w.name) AS worker_name,
    COALESCE(o.claimed_at, l.claimed_at) AS started_at,
    o.ended_at AS finished_at,
    COALESCE(o.result,
        CASE
            WHEN (o.state = 'completed'::reveille.end_state) THEN 'null'::jsonb
            ELSE NULL::jsonb
        END) AS result,
    o.error,
    p.fraction AS progress_fraction,
    p.message AS progress_message,
    p.updated_at AS progress_at,
    COALESCE((j.id = ANY (l.cancels)), false) AS cancel_requested,
    j.settings,
    ( SELECT (count(*))::integer AS count
           FROM reveille.attempt a
          WHERE ((a.id = j.id) AND (a.redriven_at IS NOT NULL))) AS redrives
   FROM (((((((reveille.job j
     LEFT JOIN reveille.waiting r ON ((r.id = j.id)))
     LEFT JOIN reveille.outcome o ON ((o.id = j.id)))
     LEFT JOIN LATERAL ( SELECT x.lease,
            x.worker,
            x.claimed_at,
            x.ids,
            x.attempts,
            x.crashes,
            x.cancels
           FROM reveille.lease x
          WHERE ((r.id IS NULL) AND (o.id IS NULL) AND (j.id = ANY (x.ids)))
         LIMIT 1) l ON (true))
     LEFT JOIN reveille.worker w ON ((w.id = COALESCE(o.worker, l.worker))))
     LEFT JOIN reveille.task t ON ((t.name = j.task)))
     LEFT JOIN reveille.queue q ON ((q.name = j.queue)))
     LEFT JOIN reveille.progress p ON (((p.id = j.id) AND (r.id IS NULL) AND (p.updated_at >= COALESCE(o.claimed_at, l.claimed_at)))));

create view reveille.partition as
 SELECT oid,
    (relname)::text AS name,
    "substring"((relname)::text, '^[a-z]+'::text) AS parent,
    to_date("right"((relname)::text, 7), 'IYYY"w"IW'::text) AS week
   FROM pg_class c
  WHERE ((relnamespace = ('reveille'::regnamespace)::oid) AND (relkind = 'r'::"char") AND (relname ~ '^(job|outcome|attempt)_[0-9]{4}w[0-9]{2}$'::text));

create view reveille.waiting as
 SELECT 'ready'::text AS place,
    queue,
    task,
    priority,
    run_at,
    id,
    attempt,
    crashes,
    (NULL::text COLLATE "C") AS key
   FROM ready r
UNION ALL
 SELECT 'keyed'::text AS place,
    queue,
    task,
    priority,
    run_at,
    id,
    attempt,
    crashes,
    key
   FROM keyed k;

CREATE OR REPLACE FUNCTION reveille.audit_write(principal text, action text, target text, reason text, request_id text)
 RETURNS void
 LANGUAGE sql
AS $function$
  insert into reveille.audit (id, principal, action, target, reason, request_id)
  values (reveille.uuid7(reveille.uuid7_ticks(now()), reveille.uuid7_seed(), 0),
    coalesce($1, 'role ' || session_user), $2, $3, $4, $5)
$function$;

CREATE OR REPLACE FUNCTION reveille.clocks_are_sound(job jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select job ->> 'run_at' is null and not coalesce(
    job -> 'deadline_seconds' < job -> 'timeout_seconds'
    or job -> 'delay_seconds' > job -> 'deadline_seconds'
    or job -> 'delay_seconds' > job -> 'queue_ttl_seconds', false)
$function$;

CREATE OR REPLACE FUNCTION reveille.dead_letters_from(queue text, task text, code text, family bigint, failed_after timestamp with time zone, failed_before timestamp with time zone, above uuid, bound uuid, known_at timestamp with time zone, most bigint)
 RETURNS TABLE(id uuid, fits boolean, task_name text, keyed boolean)
 LANGUAGE sql
 STABLE
AS $function$
  select w.id,
    coalesce(j.id is not null and o.state = 'failed' and o.ended_at <= $9
      and ($4 is null or o.family = $4)
      and ($5 is null or o.ended_at >= $5) and ($6 is null or o.ended_at < $6)
      and ($3 is null or o.error ->> 'code' = $3)
      and ($1 is null or j.queue = $1) and ($2 is null or j.task = $2), false),
    j.task, j.unique_key is not null
  from (
    (select x.id from reveille.outcome x
     where $4 is not null and x.state = 'failed' and x.family = $4 and x.id > $7 and x.id <= $8
     order by x.id limit $10)
    union all
    (select x.id from reveille.outcome x
     where $4 is null and x.state <> 'completed' and x.id > $7 and x.id <= $8
     order by x.id limit $10)
  ) w
  cross join lateral (select * from reveille.outcome x where x.id = w.id limit 1) o
  left join lateral (select * from reveille.job x where x.id = w.id limit 1) j on true
$function$;

CREATE OR REPLACE FUNCTION reveille.default_error(id uuid)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
declare
  age double precision;
  own jsonb;
  limits jsonb;
begin
  select extract(epoch from clock_timestamp() - greatest(reveille.uuid7_time(j.id), j.run_at)),
      coalesce(j.settings, '{}'), coalesce(q.settings, '{}')
    into age, own, limits
    from reveille.job j join reveille.queue q on q.name = j.queue where j.id = $1;
  return case
    when age >= (limits ->> 'deadline_seconds')::double precision and not own ? 'deadline_seconds' then
      reveille.limit_error('deadline_seconds', 'its queue''s', limits ->> 'deadline_seconds')
    when age >= (limits ->> 'queue_ttl_seconds')::double precision and not own ? 'queue_ttl_seconds'
      and not reveille.has_begun($1, '-infinity') then
      reveille.limit_error('queue_ttl_seconds', 'its queue''s', limits ->> 'queue_ttl_seconds')
  end;
end $function$;

CREATE OR REPLACE FUNCTION reveille.error_shown(error jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case
    when octet_length(error ->> 'message') > 8192 then
      error || jsonb_build_object('message', left(error ->> 'message', 2000) || '… ('
        || octet_length(error ->> 'message') - octet_length(left(error ->> 'message', 2000))
        || ' bytes cut)')
    else error
  end
$function$;

CREATE OR REPLACE FUNCTION reveille.expire(most integer)
 RETURNS TABLE(id uuid, queue text, task text, error jsonb)
 LANGUAGE plpgsql
AS $function$
declare
  due uuid[];
  waiting uuid[];
  late uuid[];
  errors jsonb[];
begin
  select array_agg(d.id) into due from (
    select e.id from reveille.expiry e where e.at <= now() order by e.at limit most
      for update skip locked
  ) d;
  if due is null then
    return;
  end if;
  waiting := reveille.waiting_lock(due, false);
  select array_agg(l.id), array_agg(l.error) into late, errors from (
    select j.id, reveille.time_error(j.settings) as error from reveille.jobs_found(waiting) j
  ) l
  where l.error is not null;
  -- The ends are told to those who wait, so they are on disk before.
  perform set_config('synchronous_commit', 'on', true) where late is not null;
  return query select w.* from reveille.waiting_end(late, 'failed', errors) w;

  delete from reveille.expiry e where e.id = any (due) and reveille.has_ended(e.id);
  update reveille.expiry e set at = now() + interval '1 second' * greatest(t.rest, 0.001)
  from (
    select x.id, least(
      case when x.deadline > 0 then x.deadline when x.deadline <= 0 then 1 end,
      case when x.ttl > 0 then x.ttl
        when x.ttl <= 0 then greatest(1, least(60, extract(epoch from now() - s.since) / 2)) end
    ) as rest
    from (
      select j.id, (j.settings #>> '{left,deadline_seconds}')::double precision as deadline,
        (j.settings #>> '{left,queue_ttl_seconds}')::double precision as ttl
      from reveille.jobs_found(due) j
    ) x
    join reveille.expiry s on s.id = x.id
  ) t
  where e.id = t.id and t.rest is not null;
  -- Of these no limit counts any more.
  delete from reveille.expiry e where e.id = any (due) and e.at <= now();
end $function$;

CREATE OR REPLACE FUNCTION reveille.expire_defaults(most integer)
 RETURNS TABLE(id uuid, queue text, task text, error jsonb)
 LANGUAGE plpgsql
AS $function$
declare
  due uuid[];
  waiting uuid[];
  late uuid[];
  errors jsonb[];
begin
  with recursive limited as materialized (
    select q.name, least((q.settings ->> 'queue_ttl_seconds')::double precision,
      (q.settings ->> 'deadline_seconds')::double precision) as seconds
    from reveille.queue q
    where q.settings_at is not null
      and reveille.is_timed(q.settings)
  ), lane as (
    select f.* from limited l cross join lateral (
      select r.queue, r.task, r.priority, l.seconds from reveille.waiting r
      where r.queue = l.name order by r.queue, r.task, r.priority limit 1
    ) f
    union all
    select x.* from lane l cross join lateral (
      select r.queue, r.task, r.priority, l.seconds from reveille.waiting r
      where r.queue = l.queue and (r.task, r.priority) > (l.task, l.priority)
      order by r.queue, r.task, r.priority limit 1
    ) x
  )
  select array_agg(c.id) into due from (
    select r.id from lane l cross join lateral (
      select x.id from reveille.waiting x
      where x.queue = l.queue and x.task = l.task and x.priority = l.priority
        and x.run_at <= now() - l.seconds * interval '1 second'
        and reveille.default_error(x.id) is not null
      order by x.run_at, x.id limit most
    ) r limit most
  ) c;
  if due is null then
    return;
  end if;
  waiting := reveille.waiting_lock(due, false);
  select array_agg(l.id), array_agg(l.error) into late, errors from (
    select w.id, reveille.default_error(w.id) as error from unnest(waiting) w (id)
  ) l
  where l.error is not null;
  return query select w.* from reveille.waiting_end(late, 'failed', errors) w;
end $function$;

CREATE OR REPLACE FUNCTION reveille.expiry_at(since timestamp with time zone, settings jsonb)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select since + interval '1 second' * least((settings ->> 'queue_ttl_seconds')::double precision,
    (settings ->> 'deadline_seconds')::double precision)
$function$;

CREATE OR REPLACE FUNCTION reveille.expiry_begin(ids uuid[], settingss jsonb[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
declare
  moment timestamptz := clock_timestamp();
begin
  insert into reveille.expiry as e (id, since, at)
  select u.id, moment, reveille.expiry_at(moment, u.settings)
  from unnest(ids, settingss) u (id, settings)
  where reveille.is_timed(u.settings)
  on conflict (id) do update set since = excluded.since, at = excluded.at;
end $function$;

CREATE OR REPLACE FUNCTION reveille.expiry_wake()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if current_setting('reveille.notify', true) is distinct from 'off'
    and not exists (select from reveille.expiry e where e.at < new.at)
  then
    perform pg_notify('reveille', 'expiry');
  end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION reveille.gate(lane text)
 RETURNS boolean
 LANGUAGE sql
AS $function$
  select case
    when pg_try_advisory_xact_lock(reveille.gate_key(lane, clock_timestamp())) then true
    else pg_try_advisory_xact_lock(reveille.gate_key(lane, clock_timestamp()) # 1)
  end
$function$;

CREATE OR REPLACE FUNCTION reveille.gate_key(lane text, at timestamp with time zone)
 RETURNS bigint
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
  select hashtextextended(lane,
    ('reveille'::regnamespace::oid::bigint << 31) # (date_part('epoch', at) * 10)::bigint)
$function$;

CREATE OR REPLACE FUNCTION reveille.gates_open(queue text, keys text[])
 RETURNS TABLE(busy text, task text, priority smallint)
 LANGUAGE plpgsql
AS $function$
#variable_conflict use_column
declare
  name text := queue;
  moment timestamptz;
  turns integer;
  mine text[];
  idle text;
begin
  select array_agg(l.key) into mine
  from (select distinct u.key from unnest(keys) u (key)) k
  cross join lateral (
    select g.key from reveille.gate g where g.queue = name and g.key = k.key
    limit 1 for update skip locked
  ) l;
  return query
    select k.key, null::text, null::smallint
    from (select unnest(keys) as key except select unnest(mine)) k
    cross join lateral (
      select from reveille.gate g where g.queue = name and g.key = k.key limit 1
    ) g;
  if mine is null then
    return;
  end if;
  select coalesce(min((q.settings ->> 'per_key_concurrency')::integer), 1) into turns
    from reveille.queue q where q.name = $1;
  moment := clock_timestamp();
  return query
    with g as materialized (
      select g.key, g.place, g.holders as before, array(
        select h.id from unnest(g.holders) with ordinality h (id, nth)
        where reveille.has_turn(h.id, g.key) order by h.nth
      ) as holders
      from unnest(mine) m (key) cross join lateral (
        select g.key, g.ctid as place, g.holders from reveille.gate g
        where g.queue = name and g.key = m.key limit 1
      ) g
    ), n as materialized (
      select g.place, g.before, g.holders, x.*
      from g cross join lateral (
        select array_agg(x.id order by x.run_at, x.id) as ids,
          array_agg(x.task order by x.run_at, x.id) as tasks,
          array_agg(x.priority order by x.run_at, x.id) as priorities,
          array_agg(x.attempt order by x.run_at, x.id) as attempts,
          array_agg(x.crashes order by x.run_at, x.id) as crashes
        from (
          select * from reveille.keyed x
          where x.queue = name and x.key = g.key and x.run_at <= moment
          order by x.run_at, x.id limit greatest(turns - cardinality(g.holders), 0)
          for update skip locked
        ) x
      ) x
    ), head as materialized (
      select u.* from n cross join lateral unnest(n.ids, n.tasks, n.priorities, n.attempts, n.crashes)
        with ordinality u (id, task, priority, attempt, crashes, nth)
    ), gone as (
      delete from reveille.keyed x where x.id = any (array(select h.id from head h))
    ), kept as (
      update reveille.gate x set holders = n.holders || coalesce(n.ids, '{}')
      from n
      where x.ctid = n.place and (n.before <> n.holders or n.ids is not null)
    ), back as (
      insert into reveille.ready (queue, task, priority, run_at, id, attempt, crashes, wakes)
      select name, h.task, h.priority, moment - (turns - h.nth) * interval '1 microsecond', h.id,
        h.attempt, h.crashes,
        (row_number() over (partition by h.task, h.priority order by h.nth) = 1)::integer
      from head h
    ), suspects as materialized (
      select pg_notify('reveille', 'suspects') where exists (select from head h where h.crashes >= 2)
    )
    select null::text, h.task, h.priority from head h
    where (select count(*) from suspects) >= 0
    group by h.task, h.priority;
  for idle in
    select m.key from unnest(mine) m (key) cross join lateral (
      select g.holders from reveille.gate g where g.queue = name and g.key = m.key limit 1
    ) g
    where g.holders = '{}' and not exists (
      select from reveille.keyed k where k.queue = name and k.key = m.key and k.run_at <= moment)
  loop
    delete from reveille.gate g where g.queue = name and g.key = idle;
  end loop;
end $function$;

CREATE OR REPLACE FUNCTION reveille.gates_yield(ids uuid[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  with r as materialized (
    delete from reveille.ready r
    where r.id = any (array(
      select x.id from reveille.ready x where x.id = any (ids) order by x.id for update skip locked
    ))
    returning r.*
  ), j as materialized (
    select j.id, j.settings ->> 'concurrency_key' as key
    from reveille.jobs_found(array(select r.id from r)) j
  )
  insert into reveille.keyed (queue, key, run_at, id, task, priority, attempt, crashes, look, wakes)
  select r.queue, j.key, r.run_at, r.id, r.task, r.priority, r.attempt, r.crashes,
    1 + (r.run_at > clock_timestamp())::integer, 1
  from r join j on j.id = r.id;
end $function$;

CREATE OR REPLACE FUNCTION reveille.has_begun(id uuid, since timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
AS $function$
begin
  return exists (select from reveille.attempt a where a.id = $1 and a.claimed_at >= $2);
end $function$;

CREATE OR REPLACE FUNCTION reveille.has_ended(id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
AS $function$
begin
  return exists (select from reveille.outcome o where o.id = $1)
    or not exists (select from reveille.job j where j.id = $1);
end $function$;

CREATE OR REPLACE FUNCTION reveille.has_turn(id uuid, key text)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
AS $function$
begin
  return not exists (select from reveille.outcome o where o.id = $1)
    and not exists (select from reveille.keyed k where k.id = $1)
    and exists (select from reveille.job j
      where j.id = $1 and j.settings ->> 'concurrency_key' = $2);
end $function$;

CREATE OR REPLACE FUNCTION reveille.idempotency_take(principal text, path text, key text, fingerprint bytea, ids uuid[], run_ats timestamp with time zone[], keep double precision)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
#variable_conflict use_column
begin
  insert into reveille.idempotency as i (principal, path, key, fingerprint, ids, statuses, outcomes)
  values ($1, $2, $3, $4, $5, array(
      select case when u.run_at > clock_timestamp() then 'scheduled' else 'queued' end
      from unnest($6) with ordinality u (run_at, nth) order by u.nth
    ), array_fill('created'::text, array[cardinality($5)]))
  on conflict (principal, path, key) do update set fingerprint = excluded.fingerprint,
    ids = excluded.ids, statuses = excluded.statuses, outcomes = excluded.outcomes,
    at = excluded.at
  where i.at <= clock_timestamp() - $7 * interval '1 second';
  return found;
end $function$;

CREATE OR REPLACE FUNCTION reveille.insert_jobs(ids uuid[], queues text[], tasks text[], priorities smallint[], run_ats timestamp with time zone[], payloads jsonb[], max_attemptss integer[], timeouts double precision[], tagss jsonb[], settingss jsonb[], keys text[], wanteds boolean[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION reveille.insert_rows(ids uuid[], queues text[], tasks text[], priorities smallint[], run_ats timestamp with time zone[], payloads jsonb[], max_attemptss integer[], timeouts double precision[], tagss jsonb[], keys text[], wanteds boolean[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  with u as materialized (
    select *,
      row_number() over (partition by u.queue, u.task, u.priority order by u.run_at, u.id) as nth
    from unnest(ids, queues, tasks, priorities, run_ats, payloads, max_attemptss, timeouts, tagss,
        keys, wanteds)
      u (id, queue, task, priority, run_at, payload, max_attempts, timeout, tags, key, wanted)
    where u.wanted
  ), j as (
    insert into reveille.job (id, queue, task, priority, run_at, payload, max_attempts,
      timeout_seconds, tags, unique_key)
    select u.id, u.queue, u.task, u.priority, u.run_at, u.payload, u.max_attempts, u.timeout,
      reveille.tag_array(u.tags), u.key
    from u
  )
  insert into reveille.ready (queue, task, priority, run_at, id, wakes)
  select u.queue, u.task, u.priority, u.run_at, u.id,
    (u.run_at < clock_timestamp() + interval '2 minutes' and u.nth = 1)::integer
  from u;
end $function$;

CREATE OR REPLACE FUNCTION reveille.integer_is_sound(value jsonb, low numeric, high numeric)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case jsonb_typeof(value)
    when 'number' then value::numeric between low and high and value::numeric % 1 = 0
    when 'null' then true
    else value is null
  end
$function$;

CREATE OR REPLACE FUNCTION reveille.is_timed(settings jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select settings ?| array[
    -- made by make made: limits
      'deadline_seconds',
      'queue_ttl_seconds'
    -- end of limits
  ]
$function$;

CREATE OR REPLACE FUNCTION reveille.job_columns(jobs jsonb, moment timestamp with time zone, ticks bigint, seed bigint)
 RETURNS TABLE(nth bigint, id uuid, queue text, task text, priority smallint, run_at timestamp with time zone, payload jsonb, max_attempts integer, timeout double precision, tags jsonb, settings jsonb, key text, policy text)
 LANGUAGE sql
 STABLE
AS $function$
  select e.nth, reveille.uuid7(ticks, seed, e.nth),
    coalesce(e.job ->> 'queue', 'default'),
    coalesce(e.job ->> 'task',
      case when jsonb_typeof(e.job -> 'payload' -> 'task') = 'string'
        then substring(e.job -> 'payload' ->> 'task' from '^[a-zA-Z0-9_.:-]{1,100}$') end,
      'echo'),
    coalesce((e.job ->> 'priority')::numeric, (
      select (q.settings ->> 'priority')::numeric from reveille.queue q
      where q.name = coalesce(e.job ->> 'queue', 'default') and q.settings ? 'priority'
    ), 5)::smallint,
    coalesce(reveille.moment(e.job ->> 'run_at'),
      moment + interval '1 second'
        * round((e.job ->> 'delay_seconds')::numeric, 6)::double precision,
      moment),
    e.job -> 'payload',
    (e.job ->> 'max_attempts')::numeric::integer,
    (e.job ->> 'timeout_seconds')::double precision,
    case jsonb_typeof(e.job -> 'tags') when 'array' then e.job -> 'tags' end,
    reveille.job_settings(e.job),
    e.job ->> 'unique_key',
    coalesce(e.job ->> 'on_conflict', 'keep')
  from jsonb_array_elements(jobs) with ordinality e (job, nth)
$function$;

CREATE OR REPLACE FUNCTION reveille.job_faults(job jsonb)
 RETURNS TABLE(pointer text, code text, message text)
 LANGUAGE sql
 STABLE
AS $function$
  with field as materialized (
    select f.*, p.path, job #> p.path as value, job #>> p.path as text,
      coalesce(jsonb_typeof(job #> p.path), 'null') as type
    from reveille.submission_fields() f
    cross join lateral (select string_to_array(f.name, '/') as path) p
  ), object as (
    select '{}'::text[] as path, '' as pointer, job as value
    union all
    select f.path, '/' || f.name, f.value from field f where f.kind = 'object'
  ), strange as materialized (
    select o.path, o.pointer, k as name, row_number() over (partition by o.pointer) as nth,
      count(*) over (partition by o.pointer) as many
    from object o cross join lateral
      jsonb_object_keys(case jsonb_typeof(o.value) when 'object' then o.value else '{}' end) k
    where not exists (select from field f where f.path = o.path || k)
  )
  select '', 'wrong_type', 'a job is a JSON object' where jsonb_typeof(job) <> 'object'
  union all
  select f.* from (
    select s.pointer || '/' || reveille.pointer_token(left(s.name, 64)), 'unknown_field',
      'there is no such field; there are ' || (
        select string_agg(f.path[cardinality(f.path)], ', ') from field f
        where trim_array(f.path, 1) = s.path
      )
    from strange s where s.nth <= 50
    union all
    select s.pointer, 'unknown_field', s.many - 50 || ' more unknown fields'
    from strange s where s.nth = 51
    union all
    select '/payload', 'required', 'a job needs a payload; it may be null' where not job ? 'payload'
    union all
    select '/payload' || p.pointer, p.code, p.message
    from reveille.payload_fault(job -> 'payload') p
    union all
    select '/' || f.name, c.code, replace(f.name, '/', '.') || ' must be ' || f.rule
    from field f cross join lateral (
      select case
        when f.type = 'null' or f.kind = 'json' then null
        when f.type <> case
          when f.kind in ('integer', 'number') then 'number'
          when f.kind = 'list' then 'array'
          when f.kind = 'object' then 'object'
          else 'string'
        end then 'wrong_type'
        when f.kind = 'name' then case when f.text !~ f.words[1] then 'invalid_name' end
        when f.kind = 'choice' then case when f.text <> all (f.words) then 'invalid_value' end
        when f.kind = 'text' then
          case when not length(f.text) between f.low and f.high then 'invalid_length' end
        when f.kind = 'integer' then case
          when f.text::numeric % 1 <> 0 then 'wrong_type'
          when not f.text::numeric between f.low and f.high then 'out_of_range'
        end
        when f.kind = 'number' then
          case when not reveille.number_is_sound(f.value, f.low, f.high) then 'out_of_range' end
        when f.kind = 'time' then
          case when reveille.moment(f.text) is null then 'invalid_timestamp' end
        when f.kind = 'list' then
          case when jsonb_array_length(f.value) > f.high then 'too_many' end
      end as code
    ) c
    where c.code is not null
    union all
    -- A longer list is wrong as a whole, and only its first items are looked at.
    select '/' || f.name || '/' || n.nth,
      case jsonb_typeof(f.value -> n.nth) when 'string' then 'invalid_length' else 'wrong_type' end,
      'each of ' || f.name || ' must be a string of 1 to ' || f.longest || ' characters'
    from field f cross join lateral generate_series(0, f.high::integer - 1) n (nth)
    where f.kind = 'list' and f.type = 'array' and n.nth < jsonb_array_length(f.value)
      and (jsonb_typeof(f.value -> n.nth) <> 'string'
        or not length(f.value ->> n.nth) between 1 and f.longest)
    union all
    select '/run_at', 'out_of_range', 'run_at must lie between the year 1970 and ten years from now'
    where jsonb_typeof(job -> 'run_at') = 'string'
      and not reveille.moment(job ->> 'run_at') between '1970-01-01 00:00:00+00'
        and now() + interval '315360000 seconds'
    union all
    select '/' || f.name, 'out_of_range',
      'retry.max_seconds must not be less than retry.base_seconds'
    from field f join field b on b.name = 'retry/base_seconds'
    where f.name = 'retry/max_seconds' and f.type = 'number' and b.type = 'number'
      and case
        when reveille.number_is_sound(f.value, f.low, f.high)
          and reveille.number_is_sound(b.value, b.low, b.high)
        then round(f.text::numeric, 40)::double precision
          < round(b.text::numeric, 40)::double precision
      end
    union all
    select '/' || f.name, 'conflicting_fields',
      'retry.factor goes with the strategy exponential only'
    from field f join field s on s.name = 'retry/strategy'
    where f.name = 'retry/factor' and f.type = 'number' and s.text in ('linear', 'fixed')
      and reveille.number_is_sound(f.value, f.low, f.high)
    union all
    select '/' || f.name, 'out_of_range',
      'deadline_seconds must not be less than timeout_seconds; raise it, or lower the other'
    from field f join field t on t.name = 'timeout_seconds'
    where f.name = 'deadline_seconds' and f.type = 'number' and t.type = 'number'
      and case
        when reveille.number_is_sound(f.value, f.low, f.high)
          and reveille.number_is_sound(t.value, t.low, t.high)
        then round(f.text::numeric, 40)::double precision
          < round(t.text::numeric, 40)::double precision
      end
    union all
    select '/' || f.name, 'out_of_range', f.name || ' lies beyond ' || l.name
      || ', so the job would end before it starts; raise that, or let the job start earlier'
    from field f cross join lateral (
      select b.name, round(b.text::numeric, 40)::double precision as seconds from field b
      where b.name in ('queue_ttl_seconds', 'deadline_seconds')
        and case when b.type = 'number' then reveille.number_is_sound(b.value, b.low, b.high) end
      order by 2, b.name desc limit 1
    ) l
    where f.name = 'run_at' and f.type = 'string'
        and reveille.moment(f.text) > now() + l.seconds * interval '1 second'
        and reveille.moment(f.text) <= now() + interval '315360000 seconds'
      or f.name = 'delay_seconds' and f.type = 'number'
        and case when jsonb_typeof(job -> 'run_at') = 'string'
          then reveille.moment(job ->> 'run_at') end is null
        and case when reveille.number_is_sound(f.value, f.low, f.high)
          then round(f.text::numeric, 40)::double precision > l.seconds end
    union all
    select '/' || f.name, 'conflicting_fields', 'give ' || o.name || ' or ' || f.name || ', not both'
    from field f join field o on o.name = f.apart
    where f.type <> 'null' and o.type <> 'null'
    union all
    select '/' || f.name, 'requires_' || coalesce(w.word, o.name),
      f.name || ' needs ' || case when w.word is null then 'a ' || o.name
        else o.name || ' to be ' || w.word end || '; give both, or neither'
    from field f
    cross join lateral (
      select split_part(f.beside, '=', 1) as name, nullif(split_part(f.beside, '=', 2), '') as word
    ) w
    join field o on o.name = w.name
    where f.type <> 'null' and (o.type = 'null' or o.text <> w.word)
  ) f
  where jsonb_typeof(job) = 'object'
$function$;

CREATE OR REPLACE FUNCTION reveille.job_is_sound(job jsonb)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select case
    when jsonb_typeof(job) <> 'object' or not job ? 'payload'
      or not reveille.payload_is_sound(job -> 'payload') then false
    when not reveille.text_is_sound(job -> 'task') or job ->> 'task' ~ '[^a-zA-Z0-9_.:-]'
      or not octet_length(job ->> 'task') between 1 and 100 then false
    when not reveille.text_is_sound(job -> 'queue') or job ->> 'queue' ~ '[^a-z0-9_.-]'
      or not octet_length(job ->> 'queue') between 1 and 64 then false
    when job - '{payload,task,queue}'::text[] = '{}' then true
    when job - array[
      -- made by make made: names
      'payload',
      'task',
      'queue',
      'priority',
      'run_at',
      'delay_seconds',
      'max_attempts',
      'timeout_seconds',
      'tags',
      'unique_key',
      'on_conflict',
      'retry',
      'queue_ttl_seconds',
      'deadline_seconds',
      'unique_for_seconds',
      'debounce_max_seconds',
      'concurrency_key'
      -- end of names
    ] <> '{}' then false
    when reveille.is_timed(job) and not reveille.clocks_are_sound(job)
      -- made by make made: sound
      or not reveille.integer_is_sound(job -> 'priority', 0, 9)
      or not reveille.text_is_sound(job -> 'run_at')
      or not reveille.number_is_sound(job -> 'delay_seconds', 0, 315360000)
      or job ->> 'delay_seconds' is not null and job ->> 'run_at' is not null
      or not reveille.integer_is_sound(job -> 'max_attempts', 1, 1000)
      or not reveille.number_is_sound(job -> 'timeout_seconds', 0.001, 604800)
      or not reveille.texts_are_sound(job -> 'tags', 20, 64)
      or not reveille.text_is_sound(job -> 'unique_key')
      or not length(job ->> 'unique_key') between 1 and 255
      or not reveille.text_is_sound(job -> 'on_conflict')
      or job ->> 'on_conflict' <> all (array['keep', 'reject', 'replace'])
      or job ->> 'on_conflict' is not null and job ->> 'unique_key' is null
      or case jsonb_typeof(job -> 'retry')
        when 'object' then not reveille.retry_is_sound(job -> 'retry')
        when 'null' then false else job ? 'retry' end
      or not reveille.number_is_sound(job -> 'queue_ttl_seconds', 0.001, 315360000)
      or not reveille.number_is_sound(job -> 'deadline_seconds', 0.001, 315360000)
      or not reveille.number_is_sound(job -> 'unique_for_seconds', 1, 2592000)
      or job ->> 'unique_for_seconds' is not null and job ->> 'unique_key' is null
      or not reveille.number_is_sound(job -> 'debounce_max_seconds', 0.001, 604800)
      or job ->> 'debounce_max_seconds' is not null and job ->> 'on_conflict' is distinct from 'replace'
      or not reveille.text_is_sound(job -> 'concurrency_key')
      or not length(job ->> 'concurrency_key') between 1 and 255
      -- end of sound
      then false
    when job ->> 'run_at' is not null then coalesce(reveille.moment(job ->> 'run_at')
      between '1970-01-01 00:00:00+00' and now() + interval '315360000 seconds', false)
    else true
  end
$function$;

CREATE OR REPLACE FUNCTION reveille.job_rows(jobs jsonb, moment timestamp with time zone, ticks bigint, seed bigint)
 RETURNS TABLE(nth bigint, id uuid, queue text, task text, priority smallint, run_at timestamp with time zone, payload jsonb, max_attempts integer, timeout double precision, tags jsonb, key text, policy text)
 LANGUAGE sql
 STABLE
AS $function$
  select e.nth, reveille.uuid7(ticks, seed, e.nth),
    coalesce(e.job ->> 'queue', 'default'),
    coalesce(e.job ->> 'task',
      case when jsonb_typeof(e.job -> 'payload' -> 'task') = 'string'
        then substring(e.job -> 'payload' ->> 'task' from '^[a-zA-Z0-9_.:-]{1,100}$') end,
      'echo'),
    coalesce((e.job ->> 'priority')::numeric, 5)::smallint,
    coalesce(reveille.moment(e.job ->> 'run_at'),
      moment + interval '1 second'
        * round((e.job ->> 'delay_seconds')::numeric, 6)::double precision,
      moment),
    e.job -> 'payload',
    (e.job ->> 'max_attempts')::numeric::integer,
    (e.job ->> 'timeout_seconds')::double precision,
    case jsonb_typeof(e.job -> 'tags') when 'array' then e.job -> 'tags' end,
    e.job ->> 'unique_key',
    coalesce(e.job ->> 'on_conflict', 'keep')
  from jsonb_array_elements(jobs) with ordinality e (job, nth)
$function$;

CREATE OR REPLACE FUNCTION reveille.job_settings(job jsonb)
 RETURNS jsonb
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
  -- made by make made: settings
  select case when job ?| array['retry', 'queue_ttl_seconds', 'deadline_seconds', 'unique_for_seconds', 'debounce_max_seconds', 'concurrency_key'] then nullif('{}'::jsonb
    || case when job ->> 'retry' is null then '{}'
      else jsonb_build_object('retry',
        '{}'::jsonb
        || case when job -> 'retry' ->> 'strategy' is null then '{}'
          else jsonb_build_object('strategy',
            job -> 'retry' -> 'strategy') end
        || case when job -> 'retry' ->> 'base_seconds' is null then '{}'
          else jsonb_build_object('base_seconds',
            reveille.number_kept(job -> 'retry' ->> 'base_seconds')) end
        || case when job -> 'retry' ->> 'factor' is null then '{}'
          else jsonb_build_object('factor',
            reveille.number_kept(job -> 'retry' ->> 'factor')) end
        || case when job -> 'retry' ->> 'max_seconds' is null then '{}'
          else jsonb_build_object('max_seconds',
            reveille.number_kept(job -> 'retry' ->> 'max_seconds')) end
        || case when job -> 'retry' ->> 'jitter' is null then '{}'
          else jsonb_build_object('jitter',
            reveille.number_kept(job -> 'retry' ->> 'jitter')) end
      ) end
    || case when job ->> 'queue_ttl_seconds' is null then '{}'
      else jsonb_build_object('queue_ttl_seconds',
        reveille.number_kept(job ->> 'queue_ttl_seconds')) end
    || case when job ->> 'deadline_seconds' is null then '{}'
      else jsonb_build_object('deadline_seconds',
        reveille.number_kept(job ->> 'deadline_seconds')) end
    || case when job ->> 'unique_for_seconds' is null then '{}'
      else jsonb_build_object('unique_for_seconds',
        reveille.number_kept(job ->> 'unique_for_seconds')) end
    || case when job ->> 'debounce_max_seconds' is null then '{}'
      else jsonb_build_object('debounce_max_seconds',
        reveille.number_kept(job ->> 'debounce_max_seconds')) end
    || case when job ->> 'concurrency_key' is null then '{}'
      else jsonb_build_object('concurrency_key',
        job -> 'concurrency_key') end
  , '{}') end
  -- end of settings
$function$;

CREATE OR REPLACE FUNCTION reveille.job_status(id uuid)
 RETURNS text
 LANGUAGE sql
AS $function$
  select coalesce(
    (select case when r.run_at > clock_timestamp() then 'scheduled' else 'queued' end
      from reveille.waiting r where r.id = $1),
    (select o.state::text from reveille.outcome o where o.id = $1),
    (select 'processing' from reveille.lease l where $1 = any (l.ids) limit 1))
$function$;

CREATE OR REPLACE FUNCTION reveille.jobs_at(ids uuid[])
 RETURNS TABLE(place integer, id uuid, queue text, task text, priority smallint, run_at timestamp with time zone, payload jsonb, max_attempts integer, timeout_seconds double precision, unique_key text)
 LANGUAGE plpgsql
 STABLE STRICT ROWS 250
AS $function$
begin
  return query select j.place, j.id, j.queue, j.task, j.priority, j.run_at, j.payload,
    j.max_attempts, j.timeout_seconds, j.unique_key from reveille.jobs_found(ids) j;
end $function$;

CREATE OR REPLACE FUNCTION reveille.jobs_found(ids uuid[])
 RETURNS TABLE(place integer, id uuid, queue text, task text, priority smallint, run_at timestamp with time zone, payload jsonb, max_attempts integer, timeout_seconds double precision, unique_key text, settings jsonb)
 LANGUAGE plpgsql
 STABLE STRICT ROWS 250
AS $function$
begin
  return query execute
    'select u.place::integer, j.id, j.queue, j.task, j.priority, j.run_at, j.payload,
       j.max_attempts, j.timeout_seconds, j.unique_key,
       case when reveille.is_timed(j.settings)
         then reveille.settings_left(j.id, j.settings) else j.settings end
     from unnest($1) with ordinality u (id, place)
     cross join lateral (
       select * from reveille.job x where x.id = u.id and x.id between $2 and $3 limit 1
     ) j'
    using ids, (select u.id from unnest(ids) u (id) order by u.id limit 1),
      (select u.id from unnest(ids) u (id) order by u.id desc limit 1);
end $function$;

CREATE OR REPLACE FUNCTION reveille.jobs_put_back(ids uuid[], run_ats timestamp with time zone[], redriven_at timestamp with time zone)
 RETURNS SETOF uuid
 LANGUAGE plpgsql
AS $function$
declare
  moved uuid[];
begin
  with w as materialized (
    select w.number from reveille.week w
    where w.removing_since is null and w.number in (
      select reveille.week_number(reveille.uuid7_time(u.id)) from unnest($1) u (id))
    order by w.number for share
  ), here as materialized (
    select w.number from w where pg_try_advisory_xact_lock_shared(79, w.number)
      or not exists (select from reveille.old_lock_holders(79, w.number) h where h.counts)
  ), o as materialized (
    select x.*, u.run_at from unnest($1, $2) u (id, run_at)
    cross join lateral (
      select * from reveille.outcome o where o.id = u.id limit 1 for update
    ) x
    where exists (select from here
      where here.number = reveille.week_number(reveille.uuid7_time(u.id)))
    order by u.id
  ), gone as (
    delete from reveille.outcome x where x.id = any (array(select o.id from o))
  ), own as (
    delete from reveille.superseded s where s.id = any (array(select o.id from o))
  ), tried as (
    insert into reveille.attempt (id, lease, worker, worker_name, claimed_at, ended_at, attempt,
      ending, result, error, redriven_at)
    select o.id, coalesce(o.lease, gen_random_uuid()), o.worker, o.worker_name, o.claimed_at,
      o.ended_at, o.attempt, o.state::text, o.result, o.error, $3
    from o
  ), b as materialized (
    select j.queue, j.task, j.priority, o.run_at, j.id, j.settings ->> 'concurrency_key' as key,
      (o.run_at < clock_timestamp() + interval '2 minutes' and row_number() over (
        partition by j.queue, j.task, j.priority, j.settings ->> 'concurrency_key' is not null
        order by o.run_at, j.id) = 1)::integer as wakes
    from o cross join lateral (select * from reveille.job x where x.id = o.id limit 1) j
  ), keyed as (
    insert into reveille.keyed (queue, key, run_at, id, task, priority, look, wakes)
    select b.queue, b.key, b.run_at, b.id, b.task, b.priority,
      1 + (b.run_at > clock_timestamp())::integer, b.wakes
    from b where b.key is not null
  ), back as (
    insert into reveille.ready (queue, task, priority, run_at, id, wakes)
    select b.queue, b.task, b.priority, b.run_at, b.id, b.wakes from b where b.key is null
  )
  select array_agg(b.id) into moved from b;
  if moved is not null then
    perform reveille.life_begin(moved);
  end if;
  return query select m.id from unnest(moved) m (id);
end $function$;

CREATE OR REPLACE FUNCTION reveille.key_free(ids uuid[])
 RETURNS SETOF uuid
 LANGUAGE plpgsql
AS $function$
declare
  locked uuid[];
begin
  select array_agg(l.id) into locked from (
    select k.id from reveille.unique_key k where k.id = any (ids) order by k.queue, k.key
      for update skip locked
  ) l;
  delete from reveille.unique_key k where k.id = any (locked) and reveille.key_is_free(k.id, k.until);
  delete from reveille.superseded s where s.id = any (array(
    select x.id from reveille.superseded x where x.id = any (ids) and reveille.has_ended(x.id)
      for update skip locked));
  return query select k.id from reveille.unique_key k
    where k.id = any (ids) and not coalesce(k.id = any (locked), false)
      and reveille.key_is_free(k.id, k.until);
end $function$;

CREATE OR REPLACE FUNCTION reveille.key_is_free(id uuid, until timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
AS $function$
begin
  if until > clock_timestamp() then
    return exists (select from reveille.outcome o where o.id = $1 and o.state <> 'completed');
  end if;
  return reveille.has_ended(id);
end $function$;

CREATE OR REPLACE FUNCTION reveille.key_leave(id uuid)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
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
  update reveille.unique_key k
    set id = heir, until = reveille.key_window(heir), first_at = null where k.id = $1;
  delete from reveille.superseded s where s.id = heir;
  update reveille.superseded s set replacement = heir where s.replacement = $1;
end $function$;

CREATE OR REPLACE FUNCTION reveille.key_take(queue text, key text, id uuid)
 RETURNS uuid
 LANGUAGE plpgsql
AS $function$
#variable_conflict use_column
declare
  holder uuid;
  held_until timestamptz;
begin
  insert into reveille.unique_key as k (queue, key, id, until)
    values ($1, $2, $3, reveille.key_window($3))
    on conflict (queue, key) do update set id = k.id
    returning k.id, k.until into holder, held_until;
  if holder <> $3 and reveille.key_is_free(holder, held_until) then
    update reveille.unique_key k
      set id = $3, until = reveille.key_window($3), first_at = null
      where k.queue = $1 and k.key = $2;
    holder := $3;
  end if;
  return holder;
end $function$;

CREATE OR REPLACE FUNCTION reveille.key_until(settings jsonb, accepted timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE
AS $function$
  select accepted + (settings ->> 'unique_for_seconds')::double precision * interval '1 second'
$function$;

CREATE OR REPLACE FUNCTION reveille.key_window(id uuid)
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE
AS $function$
  select w.until from (
    select reveille.key_until(j.settings, reveille.uuid7_time(j.id)) as until
    from reveille.job j where j.id = $1
  ) w where w.until > clock_timestamp()
$function$;

CREATE OR REPLACE FUNCTION reveille.keyed_wake()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if current_setting('reveille.notify', true) is distinct from 'off'
    and reveille.gate('keyed ' || new.queue)
  then
    perform pg_notify('reveille', 'keyed ' || new.queue);
  end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION reveille.keys_held(queues text[], keys text[])
 RETURNS SETOF bigint
 LANGUAGE plpgsql
AS $function$
declare
  half integer := cardinality(keys) / 2;
begin
  -- The least that there is, for the rest of this transaction.
  perform set_config('lock_timeout', '1ms', true);
  insert into reveille.unique_key as k (queue, key, id)
    select distinct on (u.queue, u.key) u.queue, u.key, gen_random_uuid()
    from unnest(queues, keys) u (queue, key)
    where u.key is not null
    order by u.queue, u.key
    on conflict (queue, key) do update set id = k.id where false;
  raise exception using errcode = 'RV001';
exception
  when sqlstate 'RV001' then null;
  when lock_not_available then
    if half = 0 then
      return next 1;
    else
      return query select h.nth from reveille.keys_held(queues[:half], keys[:half]) h (nth);
      return query select h.nth + half
        from reveille.keys_held(queues[half + 1:], keys[half + 1:]) h (nth);
    end if;
end $function$;

CREATE OR REPLACE FUNCTION reveille.keys_over(most bigint)
 RETURNS bigint
 LANGUAGE plpgsql
AS $function$
declare
  over uuid[];
begin
  select array_agg(l.id) into over from (
    select k.id from reveille.unique_key k where k.until <= clock_timestamp()
      order by k.until limit most for update skip locked
  ) l;
  delete from reveille.unique_key k where k.id = any (over) and reveille.has_ended(k.id);
  update reveille.unique_key k set until = null where k.id = any (over);
  return coalesce(cardinality(over), 0);
end $function$;

CREATE OR REPLACE FUNCTION reveille.keys_sweep(queue text, behind text, most integer)
 RETURNS TABLE(busy text, task text, priority smallint, seen bigint, reached text, seconds double precision)
 LANGUAGE plpgsql
AS $function$
#variable_conflict use_column
declare
  name text := queue;
  freed text[];
  fresh uuid[];
  keys text[];
  marks bigint;
begin
  if not exists (select from reveille.sweeper s where s.queue = name) then
    insert into reveille.sweeper (queue) values (name) on conflict do nothing;
  end if;
  perform from reveille.sweeper s where s.queue = name for update skip locked;
  if not found then
    return;
  end if;

  with f as (
    delete from reveille.freed f where f.ctid = any (array(
      select x.ctid from reveille.freed x where x.queue = name limit most))
    returning f.key
  )
  select array_agg(distinct f.key) into freed from f;
  with recursive k (key) as (
    (select x.key from reveille.keyed x
      where x.queue = name and x.key > behind and x.look = 1 order by x.key limit 1)
    union all
    select n.key from k cross join lateral (
      select x.key from reveille.keyed x
      where x.queue = name and x.key > k.key and x.look = 1 order by x.key limit 1
    ) n
  ), u as (
    (select r.id, k.key, k.key as place
      from (select k.key from k limit most) k
      cross join lateral (
        select x.id from reveille.keyed x
        where x.queue = name and x.key = k.key and x.look = 1 order by x.run_at, x.id limit 50
      ) r
      limit most)
    union all
    (select x.id, x.key, null from reveille.keyed x
      where x.queue = name and x.look = 2 and x.run_at <= clock_timestamp()
      order by x.run_at, x.id limit most)
  )
  select array_agg(u.id), array_agg(distinct u.key), case when count(u.place) >= most then max(u.place) end
  into fresh, keys, reached from u;

  insert into reveille.gate (queue, key)
  select name, u.key from unnest(keys) u (key) order by u.key on conflict do nothing;
  return query
    select o.busy, o.task, o.priority, null::bigint, null::text, null::double precision
    from reveille.gates_open(name, keys || freed) o;
  -- A gate that another session has locked may be about to go.
  with open as materialized (
    select x.id from reveille.keyed x cross join lateral (
      select from reveille.gate g
      where g.queue = name and g.key = x.key and g.holders <> '{}' limit 1 for update skip locked
    ) g
    where x.id = any (fresh)
  ), marked as (
    update reveille.keyed x set look = 0 where x.id = any (array(select open.id from open))
    returning 1
  )
  select count(*) into marks from marked;
  return query
    select null::text, null::text, null::smallint,
      marks + coalesce(cardinality(freed), 0) + (
        select count(*) from unnest(fresh) f (id)
        where not exists (select from reveille.keyed k where k.id = f.id)),
      reached, (
        select extract(epoch from min(k.run_at) - clock_timestamp())::double precision
        from reveille.keyed k where k.queue = name and k.look = 2);
end $function$;

CREATE OR REPLACE FUNCTION reveille.keys_taken(ids uuid[])
 RETURNS TABLE(id uuid, holder uuid)
 LANGUAGE plpgsql
 SET lock_timeout TO '1ms'
AS $function$
declare
  taken uuid[];
  holders uuid[];
  half integer := cardinality(ids) / 2;
begin
  begin
    select array_agg(t.id), array_agg(t.holder) into taken, holders from (
      select k.id, reveille.key_take(k.queue, k.unique_key, k.id) as holder from (
        select j.id, j.queue, j.unique_key from unnest(ids) u (id)
        cross join lateral (
          select * from reveille.job x where x.id = u.id and x.unique_key is not null limit 1
        ) j
        order by j.queue, j.unique_key, j.id
      ) k
      offset 0
    ) t;
  exception
    when lock_not_available then
      if half = 0 then
        return query select ids[1], null::uuid;
      else
        return query select k.* from reveille.keys_taken(ids[:half]) k;
        return query select k.* from reveille.keys_taken(ids[half + 1:]) k;
      end if;
      return;
  end;
  return query select u.* from unnest(taken, holders) u (id, holder);
end $function$;

CREATE OR REPLACE FUNCTION reveille.life_begin(ids uuid[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  perform reveille.expiry_begin(array_agg(j.id), array_agg(j.settings))
  from reveille.jobs_found(ids) j where reveille.is_timed(j.settings);
  -- A limit of the queue counts from here. The statement is planned only where there is one, since
  -- it names every week.
  if exists (
    select from reveille.queue q where q.settings_at is not null and q.settings ? 'deadline_seconds'
  ) then
    update reveille.job j set run_at = now() from reveille.queue q
      where j.id = any (ids) and q.name = j.queue and q.settings ? 'deadline_seconds';
  end if;
  perform reveille.snoozes_begin(ids);
end $function$;

CREATE OR REPLACE FUNCTION reveille.limit_error(limited_by text, whose text, seconds text)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select jsonb_build_object('code', l.code, 'message',
    l.missed || ' within ' || whose || ' ' || l.field || ' of ' || seconds)
  from (
    values
    -- made by make made: errors
      ('deadline_seconds', 'deadline_exceeded', 'the job did not end'),
      ('queue_ttl_seconds', 'expired', 'no attempt began')
    -- end of errors
  ) l (field, code, missed)
  where l.field = limited_by
$function$;

CREATE OR REPLACE FUNCTION reveille.moment(value text)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 IMMUTABLE STRICT
AS $function$
declare
  part text[] := regexp_match(value,
    '^([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]((?:[01][0-9]|2[0-3]):[0-5][0-9]):([0-5][0-9]|60)'
    '(?:([.][0-9]{1,6})[0-9]*)?(?:[Zz]|([+-])((?:[01][0-9]|2[0-3]):[0-5][0-9]))$');
begin
  return (part[1] || ' ' || part[2])::timestamp at time zone 'UTC'
    + make_interval(secs => (part[3] || coalesce(part[4], ''))::double precision)
    - (coalesce(part[5], '+') || coalesce(part[6], '00:00'))::interval;
exception when datetime_field_overflow or invalid_datetime_format then
  return null;
end $function$;

CREATE OR REPLACE FUNCTION reveille.number_is_sound(value jsonb, low numeric, high numeric)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case jsonb_typeof(value)
    when 'number' then case
      when value::numeric between 0 and 1e15 then
        round(value::numeric, 40)::double precision
          between low::double precision and high::double precision
      else false
    end
    when 'null' then true
    else value is null
  end
$function$;

CREATE OR REPLACE FUNCTION reveille.number_kept(written text)
 RETURNS double precision
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select round(round(written::numeric, 40)::double precision * 1e6) / 1e6
$function$;

CREATE OR REPLACE FUNCTION reveille.old_lock_holders(class integer, id integer)
 RETURNS TABLE(pid integer, role text, counts boolean)
 LANGUAGE sql
AS $function$
  select l.pid, coalesce(r.rolname::text, 'unknown'),
    coalesce(r.rolname = current_user or r.rolsuper, false)
  from pg_locks l
  join pg_database d on d.oid = l.database and d.datname = current_database()
  left join pg_stat_activity a on a.pid = l.pid
  left join pg_roles r on r.oid = a.usesysid
  where l.locktype = 'advisory' and l.classid = class::oid and l.objid = id::oid
    and l.objsubid = 2 and l.granted and l.pid <> pg_backend_pid()
$function$;

CREATE OR REPLACE FUNCTION reveille.partition_ensure(weeks integer DEFAULT 3)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  monday timestamptz := date_trunc('week', now() at time zone 'UTC') at time zone 'UTC';
  week timestamptz;
  parent text;
  name text;
begin
  if not exists (
    select from generate_series(-1, weeks) n (nth)
    cross join unnest(array['job', 'outcome', 'attempt']) p (name)
    where to_regclass('reveille.'
      || reveille.partition_name(p.name, monday + n.nth * interval '7 days')) is null
  ) then
    return;
  end if;
  lock table reveille.week in share row exclusive mode;
  for week in select monday + n.nth * interval '7 days' from generate_series(-1, weeks) n (nth) loop
    insert into reveille.week (number) values (reveille.week_number(week)) on conflict do nothing;
    foreach parent in array array['job', 'outcome', 'attempt'] loop
      name := reveille.partition_name(parent, week);
      if to_regclass('reveille.' || name) is null then
        execute format('create table reveille.%I (like reveille.%I including all)', name, parent);
        perform reveille.partition_tune(name);
        execute format('alter table reveille.%I attach partition reveille.%I '
          'for values from (%L) to (%L)', parent, name,
          reveille.uuid7_floor(week), reveille.uuid7_floor(week + interval '7 days'));
      end if;
    end loop;
  end loop;
end $function$;

CREATE OR REPLACE FUNCTION reveille.partition_expired(completed_before timestamp with time zone, unwell_before timestamp with time zone)
 RETURNS SETOF date
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$
declare
  monday date;
  outcomes text;
  least uuid;
  beyond uuid;
  kept boolean;
begin
  for monday in
    select distinct p.week from reveille.partition p
    where p.week < (date_trunc('week', now() at time zone 'UTC') - interval '7 days')::date
    order by 1
  loop
    least := reveille.week_floor(monday);
    beyond := reveille.week_floor(monday + 7);
    continue when exists (select from reveille.waiting r where r.id >= least and r.id < beyond)
      or exists (select from reveille.lease l cross join lateral unnest(l.ids) h (id)
        where h.id >= least and h.id < beyond);
    select p.name into outcomes from reveille.partition p
      where p.parent = 'outcome' and p.week = monday;
    if found then
      execute format(
        'select exists (select from reveille.%1$I where state = ''completed'' and ended_at >= $1)
           or exists (select from reveille.%1$I where state = ''failed'' and ended_at >= $2)
           or exists (select from reveille.%1$I where state = ''cancelled'' and ended_at >= $2)',
        outcomes) into kept using completed_before, unwell_before;
      continue when kept;
    end if;
    return next monday;
  end loop;
end $function$;

CREATE OR REPLACE FUNCTION reveille.partition_name(parent text, at timestamp with time zone)
 RETURNS text
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
  select parent || to_char(at at time zone 'UTC', '_IYYY"w"IW')
$function$;

CREATE OR REPLACE FUNCTION reveille.partition_tune(name text)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  execute format('alter table reveille.%I set (autovacuum_vacuum_scale_factor = 0.02, '
    'autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_insert_scale_factor = 0.05, '
    'autovacuum_vacuum_cost_limit = 2000, vacuum_truncate = off)', name);
end $function$;

CREATE OR REPLACE FUNCTION reveille.payload_fault(payload jsonb)
 RETURNS TABLE(pointer text, code text, message text)
 LANGUAGE plpgsql
 IMMUTABLE
AS $function$
declare
  written text := payload::text;
begin
  if octet_length(written) < 130 then return; end if;
  if reveille.written_bytes(written) > 1048576 then
    return query select '', 'too_large',
      'a payload may have 1 MiB, without blanks and with numbers written without exponents';
    return;
  end if;
  if pg_column_size(payload) > 250
    and jsonb_path_exists(payload,
      'strict $.**{64 to last} ? (@.type() == "object" || @.type() == "array")')
  then
    return query select w.pointer, 'too_deep', 'a payload may nest 64 levels'
      from reveille.payload_walk(payload) w
      where w.depth = 65 and jsonb_typeof(w.value) <> 'number' limit 1;
  elsif octet_length(written) > 1400 and written ~ '[0-9.]{250}' then
    return query select w.pointer, 'number_out_of_range',
      'a number may have 1400 digits; submit it as a string'
      from reveille.payload_walk(payload) w
      where jsonb_typeof(w.value) = 'number' and length(w.value::text) > 1400 limit 1;
  end if;
end $function$;

CREATE OR REPLACE FUNCTION reveille.payload_is_sound(payload jsonb)
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
  select octet_length(payload::text) < 130
    or (octet_length(payload::text) <= 1400
        or octet_length(payload::text) <= 1048576 and payload::text !~ '[0-9.]{250}')
      and (pg_column_size(payload) <= 250
        or not jsonb_path_exists(payload,
          'strict $.**{64 to last} ? (@.type() == "object" || @.type() == "array")'))
$function$;

CREATE OR REPLACE FUNCTION reveille.payload_walk(payload jsonb)
 RETURNS TABLE(pointer text, value jsonb, depth integer)
 LANGUAGE sql
 IMMUTABLE
AS $function$
  with recursive walk as (
    select '' as pointer, payload as value, 1 as depth
    union all
    select w.pointer || '/' || c.token, c.value, w.depth + 1
    from walk w cross join lateral (
      select reveille.pointer_token(o.key) as token, o.value
      from jsonb_each(case jsonb_typeof(w.value) when 'object' then w.value else '{}' end) o
      union all
      select (a.nth - 1)::text, a.value
      from jsonb_array_elements(case jsonb_typeof(w.value) when 'array' then w.value else '[]' end)
        with ordinality a (value, nth)
    ) c
    where w.depth <= 64 and jsonb_typeof(c.value) in ('object', 'array', 'number')
  )
  select * from walk
$function$;

CREATE OR REPLACE FUNCTION reveille.pointer_token(name text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select replace(replace(name, '~', '~0'), '/', '~1')
$function$;

CREATE OR REPLACE FUNCTION reveille.queue_state(names text[])
 RETURNS TABLE(name text, known boolean, paused_at timestamp with time zone, scheduled bigint, queued bigint, processing bigint, oldest_waiting_at timestamp with time zone, scheduled_estimated boolean, queued_estimated boolean, processing_estimated boolean)
 LANGUAGE sql
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
  with recursive lane as (
    select f.* from unnest(names) n (name) cross join lateral (
      select r.queue, r.task, r.priority, r.run_at from reveille.waiting r
      where r.queue = n.name order by r.queue, r.task, r.priority, r.run_at limit 1
    ) f
    union all
    select x.* from lane l cross join lateral (
      select r.queue, r.task, r.priority, r.run_at from reveille.waiting r
      where r.queue = l.queue and (r.task, r.priority) > (l.task, l.priority)
      order by r.queue, r.task, r.priority, r.run_at limit 1
    ) x
  ), most as materialized (
    select least(10000, greatest(50, 10000 / greatest(cardinality(names), 1))) as jobs
  ), lanes as materialized (
    select l.queue, array_agg(l.task) as tasks, array_agg(l.priority) as priorities,
      min(l.run_at) filter (where l.run_at <= now()) as oldest
    from lane l group by l.queue
  ), counted as materialized (
    select l.queue, l.oldest, d.jobs as due, s.jobs as later, d.jobs > most.jobs as many_due,
      s.jobs > most.jobs as many_later
    from lanes l cross join most
    cross join lateral (
      select count(*) as jobs from (
        select from unnest(l.tasks, l.priorities) u (task, priority) cross join lateral (
          select from reveille.waiting r
          where r.queue = l.queue and r.task = u.task and r.priority = u.priority
            and r.run_at <= now() limit most.jobs + 1
        ) r limit most.jobs + 1
      ) c
    ) d
    cross join lateral (
      select count(*) as jobs from (
        select from unnest(l.tasks, l.priorities) u (task, priority) cross join lateral (
          select from reveille.waiting r
          where r.queue = l.queue and r.task = u.task and r.priority = u.priority
            and r.run_at > now() limit most.jobs + 1
        ) r limit most.jobs + 1
      ) c
    ) s
  ), estimate as materialized (
    select e.* from reveille.waiting_estimates(
      array(select c.queue from counted c where c.many_due or c.many_later)) e
  ), ids as materialized (
    select unnest(l.ids) as id from reveille.lease l limit 10001
  ), held as materialized (
    select j.queue, count(*) as jobs, (select count(*) from ids) > 10000 as estimated
    from ids cross join lateral (select j.queue from reveille.job j where j.id = ids.id limit 1) j
    group by j.queue
  )
  select n.name, q.name is not null or c.queue is not null, q.paused_at,
    coalesce(case when c.many_later then greatest(c.later, e.later::bigint) else c.later end, 0),
    coalesce(case when c.many_due then greatest(c.due, e.due::bigint) else c.due end, 0),
    coalesce(h.jobs, 0), c.oldest, coalesce(c.many_later, false), coalesce(c.many_due, false),
    coalesce(h.estimated, false)
  from unnest(names) with ordinality n (name, nth)
  left join reveille.queue q on q.name = n.name
  left join counted c on c.queue = n.name
  left join estimate e on e.queue = n.name
  left join held h on h.queue = n.name
  order by n.nth
$function$;

CREATE OR REPLACE FUNCTION reveille.refuse(faults jsonb)
 RETURNS void
 LANGUAGE plpgsql
 STRICT
AS $function$
begin
  raise exception using errcode = 'invalid_parameter_value',
    message = 'nothing was submitted: ' || (
      select string_agg((f.fault ->> 'pointer') || ' ' || (f.fault ->> 'message'), '; '
        order by f.nth)
      from jsonb_array_elements(faults) with ordinality f (fault, nth)
      where f.nth <= 10
    ),
    detail = faults::text,
    hint = 'Fix the fields listed in DETAIL, and submit again.';
end $function$;

CREATE OR REPLACE FUNCTION reveille.retry_is_sound(value jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select value - array[
      -- made by make made: names
      'strategy',
      'base_seconds',
      'factor',
      'max_seconds',
      'jitter'
      -- end of names
    ] = '{}' and not coalesce(
      value -> 'max_seconds' < value -> 'base_seconds'
      or value ->> 'factor' is not null and value ->> 'strategy' in ('linear', 'fixed')
      -- made by make made: sound
      or not reveille.text_is_sound(value -> 'strategy')
      or value ->> 'strategy' <> all (array['exponential', 'linear', 'fixed'])
      or not reveille.number_is_sound(value -> 'base_seconds', 0, 604800)
      or not reveille.number_is_sound(value -> 'factor', 1, 100)
      or not reveille.number_is_sound(value -> 'max_seconds', 0, 2592000)
      or not reveille.number_is_sound(value -> 'jitter', 0, 1)
      -- end of sound
    , false)
$function$;

CREATE OR REPLACE FUNCTION reveille.settings_left(id uuid, settings jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
AS $function$
declare
  began timestamptz;
  age double precision;
begin
  select e.since, extract(epoch from clock_timestamp() - e.since) into began, age
    from reveille.expiry e where e.id = $1;
  return settings || jsonb_build_object('left', jsonb_strip_nulls(jsonb_build_object(
    'deadline_seconds', (settings ->> 'deadline_seconds')::double precision - age,
    'queue_ttl_seconds', case when settings ? 'queue_ttl_seconds'
      and not reveille.has_begun($1, began)
      then (settings ->> 'queue_ttl_seconds')::double precision - age end)));
end $function$;

CREATE OR REPLACE FUNCTION reveille.snoozes(ids uuid[])
 RETURNS TABLE(id uuid, lease uuid, nth bigint, kept bigint, total bigint)
 LANGUAGE sql
 STABLE
AS $function$
  select s.id, s.lease, s.nth, count(*) over w,
    coalesce(max(s.nth - 1 + s.counted) over w, count(*) over w)
  from (
    select a.id, a.lease, (a.error ->> 'count')::bigint as counted,
      row_number() over (partition by a.id order by a.ended_at desc, a.lease) as nth
    from unnest(ids) u (id) cross join lateral (
      select x.id, x.lease, x.ended_at, x.error from reveille.attempt x
      where x.id = u.id and x.ending = 'snoozed'
    ) a
  ) s
  window w as (partition by s.id)
$function$;

CREATE OR REPLACE FUNCTION reveille.snoozes_begin(ids uuid[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  update reveille.attempt x
  set error = jsonb_build_object('code', 'snoozed', 'message',
    coalesce(x.error ->> 'message', 'the job was sent back later'),
    'count', case s.nth when 1 then 0 end)
  from reveille.snoozes(ids) s
  where x.id = s.id and x.lease = s.lease and (s.nth = 1 or x.error ? 'count');
end $function$;

CREATE OR REPLACE FUNCTION reveille.submission_fields()
 RETURNS TABLE(name text, kind text, low numeric, high numeric, longest integer, words text[], rule text, apart text, beside text)
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select * from (values
    -- made by make made: rules
    ('payload', 'json', null, null, null, null,
      'any JSON value', null, null),
    ('task', 'name', null, null, null, array['^[a-zA-Z0-9_.:-]{1,100}$'],
      '1 to 100 of `a-z A-Z 0-9 _ - . :`', null, null),
    ('queue', 'name', null, null, null, array['^[a-z0-9_.-]{1,64}$'],
      '1 to 64 of `a-z 0-9 _ - .`', null, null),
    ('priority', 'integer', 0, 9, null, null,
      'a whole number from 0 to 9', null, null),
    ('run_at', 'time', null, null, null, null,
      'an RFC 3339 time with a zone, such as 2030-01-31T08:00:00Z', null, null),
    ('delay_seconds', 'number', 0, 315360000, null, null,
      'a number from 0 to 315360000 (3650 days)', 'run_at', null),
    ('max_attempts', 'integer', 1, 1000, null, null,
      'a whole number from 1 to 1000', null, null),
    ('timeout_seconds', 'number', 0.001, 604800, null, null,
      'a number from 0.001 to 604800 (7 days)', null, null),
    ('tags', 'list', null, 20, 64, null,
      'a list of at most 20 strings of 1 to 64 characters', null, null),
    ('unique_key', 'text', 1, 255, null, null,
      'a string of 1 to 255 characters', null, null),
    ('on_conflict', 'choice', null, null, null, array['keep', 'reject', 'replace'],
      'keep, reject or replace', null, 'unique_key'),
    ('retry', 'object', null, null, null, null,
      'an object of strategy, base_seconds, factor, max_seconds, jitter, each optional', null, null),
    ('retry/strategy', 'choice', null, null, null, array['exponential', 'linear', 'fixed'],
      'exponential, linear or fixed', null, null),
    ('retry/base_seconds', 'number', 0, 604800, null, null,
      'a number from 0 to 604800 (7 days)', null, null),
    ('retry/factor', 'number', 1, 100, null, null,
      'a number from 1 to 100', null, null),
    ('retry/max_seconds', 'number', 0, 2592000, null, null,
      'a number from 0 to 2592000 (30 days)', null, null),
    ('retry/jitter', 'number', 0, 1, null, null,
      'a number from 0 to 1', null, null),
    ('queue_ttl_seconds', 'number', 0.001, 315360000, null, null,
      'a number from 0.001 to 315360000 (3650 days)', null, null),
    ('deadline_seconds', 'number', 0.001, 315360000, null, null,
      'a number from 0.001 to 315360000 (3650 days)', null, null),
    ('unique_for_seconds', 'number', 1, 2592000, null, null,
      'a number from 1 to 2592000 (30 days)', null, 'unique_key'),
    ('debounce_max_seconds', 'number', 0.001, 604800, null, null,
      'a number from 0.001 to 604800 (7 days)', null, 'on_conflict=replace'),
    ('concurrency_key', 'text', 1, 255, null, null,
      'a string of 1 to 255 characters', null, null)
    -- end of rules
  ) f (name, kind, low, high, longest, words, rule, apart, beside)
$function$;

CREATE OR REPLACE FUNCTION reveille.submit(task text DEFAULT NULL::text, payload jsonb DEFAULT NULL::jsonb, queue text DEFAULT NULL::text, priority integer DEFAULT NULL::integer, run_at timestamp with time zone DEFAULT NULL::timestamp with time zone, delay_seconds double precision DEFAULT NULL::double precision, max_attempts integer DEFAULT NULL::integer, timeout_seconds double precision DEFAULT NULL::double precision, tags text[] DEFAULT NULL::text[], unique_key text DEFAULT NULL::text, on_conflict text DEFAULT NULL::text, settings jsonb DEFAULT NULL::jsonb)
 RETURNS TABLE(job_id uuid, status text, outcome text)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
  select s.job_id, s.status, s.outcome
  from (
    select jsonb_build_object('task', $1, 'queue', $3, 'priority', $4, 'run_at', $5,
        'delay_seconds', $6, 'max_attempts', $7, 'timeout_seconds', $8, 'tags', $9,
        'unique_key', $10, 'on_conflict', $11)
      || case when $2 is null then '{}' else jsonb_build_object('payload', $2) end
  ) f (fields)
  cross join lateral reveille.submit_checked(jsonb_build_array(
    case when $12 is null then f.fields else reveille.with_settings(f.fields, $12) end), false) s
$function$;

CREATE OR REPLACE FUNCTION reveille.submit_checked(jobs jsonb, listed boolean)
 RETURNS TABLE(nth bigint, job_id uuid, status text, outcome text)
 LANGUAGE plpgsql
AS $function$
#variable_conflict use_column
declare
  faults jsonb;
  moment timestamptz := clock_timestamp();
  ticks bigint := reveille.uuid7_ticks(moment);
  seed bigint := reveille.uuid7_seed();
  a record;
  answers jsonb;
begin
  if exists (
    select from jsonb_array_elements(jobs) e (job) where not reveille.job_is_sound(e.job)
  ) then
    perform reveille.refuse(jsonb_agg(
      jsonb_build_object('pointer', f.pointer, 'code', f.code, 'message', f.message)
      order by f.nth, f.pointer))
    from (
      select e.nth, case when listed then '/' || e.nth - 1 else '' end || f.pointer as pointer,
        f.code, f.message
      from jsonb_array_elements(jobs) with ordinality e (job, nth)
      cross join lateral reveille.job_faults(e.job) f
      where not reveille.job_is_sound(e.job)
      limit 10000
    ) f;
  end if;

  -- Without keys nothing can be in the way, and without time limits nothing hangs on the jobs: one
  -- statement writes it all, and all to `ready`.
  if not exists (
    select from jsonb_array_elements(jobs) e (job)
    where e.job ->> 'unique_key' is not null or reveille.is_timed(e.job)
      or e.job ->> 'concurrency_key' is not null
  ) then
    if to_regclass('reveille.' || reveille.partition_name('job', moment)) is null then
      perform reveille.partition_ensure();
    end if;
    return query
      with e as materialized (
        select * from reveille.job_columns(jobs, moment, ticks, seed)
      ), first as materialized (
        select min(e.nth) as nth from e
        where e.run_at < moment + interval '2 minutes'
        group by e.queue, e.task, e.priority
      ), j as (
        insert into reveille.job (id, queue, task, priority, run_at, payload, max_attempts,
          timeout_seconds, tags, settings)
        select e.id, e.queue, e.task, e.priority, e.run_at, e.payload, e.max_attempts, e.timeout,
          reveille.tag_array(e.tags), e.settings
        from e
      ), r as (
        insert into reveille.ready (queue, task, priority, run_at, id, wakes)
        select e.queue, e.task, e.priority, e.run_at, e.id,
          (e.nth in (select f.nth from first f))::integer
        from e
      )
      select e.nth, e.id,
        case when e.run_at > clock_timestamp() then 'scheduled' else 'queued' end, 'created'
      from e;
    return;
  end if;

  select array_agg(e.id) as ids, array_agg(e.queue) as queues, array_agg(e.task) as tasks,
    array_agg(e.priority) as priorities, array_agg(e.run_at) as run_ats,
    array_agg(e.payload) as payloads, array_agg(e.max_attempts) as max_attemptss,
    array_agg(e.timeout) as timeouts, array_agg(e.tags) as tagss,
    array_agg(e.settings) as settingss, array_agg(e.key) as keys, array_agg(e.policy) as policies
  into a
  from reveille.job_columns(jobs, moment, ticks, seed) e;
  select jsonb_agg(to_jsonb(r) order by r.nth) into answers
  from reveille.submit_keyed(a.ids, a.queues, a.tasks, a.priorities, a.run_ats, a.payloads,
    a.max_attemptss, a.timeouts, a.tagss, a.settingss, a.keys, a.policies) r;
  select jsonb_agg(jsonb_build_object(
      'pointer', case when listed then '/' || r.nth - 1 else '' end || '/unique_key',
      'code', 'unique_key_conflict', 'message', 'job ' || r.job_id || ' holds this key',
      'job_id', r.job_id) order by r.nth)
  into faults
  from jsonb_to_recordset(answers) r (nth bigint, job_id uuid, outcome text)
  where r.outcome = 'rejected';
  if faults is not null then
    raise exception using errcode = 'unique_violation',
      message = 'nothing was submitted: another job holds the unique key',
      detail = faults::text, hint = 'Wait for that job and its window to end, use another key, or '
        'submit with on_conflict keep or replace.';
  end if;
  return query select r.nth, r.job_id, r.status, r.outcome
    from jsonb_to_recordset(answers) r (nth bigint, job_id uuid, status text, outcome text);
end $function$;

CREATE OR REPLACE FUNCTION reveille.submit_keyed(ids uuid[], queues text[], tasks text[], priorities smallint[], run_ats timestamp with time zone[], payloads jsonb[], max_attemptss integer[], timeouts double precision[], tagss jsonb[], settingss jsonb[], keys text[], policies text[])
 RETURNS TABLE(nth bigint, job_id uuid, status text, outcome text)
 LANGUAGE plpgsql
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION reveille.submit_many(jobs jsonb)
 RETURNS TABLE(job_id uuid, status text, outcome text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
begin
  if jsonb_typeof(jobs) is distinct from 'array' then
    raise exception using errcode = 'invalid_parameter_value',
      message = 'submit_many takes a JSON array of jobs',
      detail = '[{"pointer": "", "code": "wrong_type", "message": "expected an array of jobs"}]',
      hint = 'Put the jobs into an array, also a single one.';
  end if;
  if jsonb_array_length(jobs) not between 1 and 10000 then
    raise exception using errcode = 'invalid_parameter_value',
      message = 'submit_many takes a JSON array of 1 to 10000 jobs',
      detail = '[{"pointer": "", "code": "batch_size", '
        '"message": "a batch is a JSON array of 1 to 10000 jobs"}]',
      hint = 'Split a longer list into several calls.';
  end if;
  return query select s.job_id, s.status, s.outcome from reveille.submit_checked(jobs, true) s
    order by s.nth;
end $function$;

CREATE OR REPLACE FUNCTION reveille.submit_once(principals text[], paths text[], names text[], fingerprints bytea[], firsts integer[], lasts integer[], admitted boolean[], keep double precision, ids uuid[], queues text[], tasks text[], priorities smallint[], run_ats timestamp with time zone[], payloads jsonb[], max_attemptss integer[], timeouts double precision[], tagss jsonb[], settingss jsonb[], keys text[], policies text[])
 RETURNS TABLE(place integer, nth bigint, job_id uuid, status text, outcome text, replayed boolean)
 LANGUAGE plpgsql
AS $function$
#variable_conflict use_column
declare
  patience text := current_setting('lock_timeout');
  unseen integer[];
  fresh integer[] := '{}';
  one integer;
  places integer[];
  numbers bigint[];
begin
  select array_agg(u.place::integer order by u.principal, u.path, u.name) into unseen
  from unnest(principals, paths, names, admitted) with ordinality
    u (principal, path, name, admitted, place)
  where u.admitted and not exists (
    select from reveille.idempotency i
    where i.principal = u.principal and i.path = u.path and i.key = u.name
      and i.at > clock_timestamp() - keep * interval '1 second'
  );

  begin
    foreach one in array coalesce(unseen, '{}') loop
      if reveille.idempotency_take(principals[one], paths[one], names[one], fingerprints[one],
        ids[firsts[one]:lasts[one]], run_ats[firsts[one]:lasts[one]], keep)
      then
        fresh := fresh || one;
      end if;
    end loop;
  exception when lock_not_available then
    -- Somebody else has one of them. The others are not kept from their answer.
    fresh := '{}';
    perform set_config('lock_timeout', '1ms', true);
    foreach one in array unseen loop
      begin
        if reveille.idempotency_take(principals[one], paths[one], names[one], fingerprints[one],
          ids[firsts[one]:lasts[one]], run_ats[firsts[one]:lasts[one]], keep)
        then
          fresh := fresh || one;
        end if;
      exception when lock_not_available then null;
      end;
    end loop;
    perform set_config('lock_timeout', patience, true);
  end;

  if cardinality(fresh) < cardinality(names) then
    return query
      select u.place::integer, a.nth, a.id, a.status, a.outcome, i.fingerprint is not null
      from unnest(principals, paths, names, fingerprints, admitted) with ordinality
        u (principal, path, name, fingerprint, admitted, place)
      left join reveille.idempotency i
        on i.principal = u.principal and i.path = u.path and i.key = u.name
          and i.at > clock_timestamp() - keep * interval '1 second'
      cross join lateral (
        select a.nth, a.id, a.status, a.outcome
        from unnest(i.ids, i.statuses, i.outcomes) with ordinality a (id, status, outcome, nth)
        where i.fingerprint = u.fingerprint
        union all
        select 1::bigint, null::uuid, null::text, case when i.fingerprint is not null then 'reused'
          when u.admitted then 'busy' else 'full' end
        where i.fingerprint is distinct from u.fingerprint
      ) a
      where not u.place = any (fresh);
    if fresh = '{}' then return; end if;
  end if;

  select array_agg(f.place order by n.n),
    array_agg((n.n - firsts[f.place] + 1)::bigint order by n.n)
  into places, numbers
  from unnest(fresh) f (place)
  cross join lateral generate_series(firsts[f.place], lasts[f.place]) n (n);
  if cardinality(places) < cardinality(ids) then
    select array_agg(u.id order by u.n), array_agg(u.queue order by u.n),
      array_agg(u.task order by u.n), array_agg(u.priority order by u.n),
      array_agg(u.run_at order by u.n), array_agg(u.payload order by u.n),
      array_agg(u.max_attempts order by u.n), array_agg(u.timeout order by u.n),
      array_agg(u.tags order by u.n), array_agg(u.settings order by u.n),
      array_agg(u.key order by u.n), array_agg(u.policy order by u.n)
    into ids, queues, tasks, priorities, run_ats, payloads, max_attemptss, timeouts, tagss,
      settingss, keys, policies
    from unnest(ids, queues, tasks, priorities, run_ats, payloads, max_attemptss, timeouts, tagss,
        settingss, keys, policies) with ordinality
      u (id, queue, task, priority, run_at, payload, max_attempts, timeout, tags, settings, key,
        policy, n)
    where exists (
      select from unnest(fresh) f (place) where u.n between firsts[f.place] and lasts[f.place]);
  end if;

  return query
    with s as materialized (
      select places[k.nth::integer] as place, numbers[k.nth::integer] as nth, k.job_id, k.status, k.outcome
      from reveille.submit_keyed(ids, queues, tasks, priorities, run_ats, payloads, max_attemptss,
        timeouts, tagss, settingss, keys, policies) k
    ), told as materialized (
      select s.place, array_agg(s.job_id order by s.nth) as ids,
        array_agg(s.status order by s.nth) as statuses,
        array_agg(s.outcome order by s.nth) as outcomes, bool_or(s.outcome = 'rejected') as rejected
      from s group by s.place
    ), undone as (
      delete from reveille.idempotency i using told t
      where t.rejected and i.principal = principals[t.place] and i.path = paths[t.place]
        and i.key = names[t.place]
    ), corrected as (
      update reveille.idempotency i
      set ids = t.ids, statuses = t.statuses, outcomes = t.outcomes
      from told t
      where not t.rejected and i.principal = principals[t.place] and i.path = paths[t.place]
        and i.key = names[t.place]
        and (i.ids, i.statuses, i.outcomes) is distinct from (t.ids, t.statuses, t.outcomes)
    )
    select s.place, s.nth, s.job_id, s.status, s.outcome, false from s;
end $function$;

CREATE OR REPLACE FUNCTION reveille.submit_rows(ids uuid[], queues text[], tasks text[], priorities smallint[], run_ats timestamp with time zone[], payloads jsonb[], max_attemptss integer[], timeouts double precision[], tagss jsonb[], keys text[], policies text[])
 RETURNS TABLE(nth bigint, job_id uuid, status text, outcome text)
 LANGUAGE sql
AS $function$
  select * from reveille.submit_keyed(ids, queues, tasks, priorities, run_ats, payloads,
    max_attemptss, timeouts, tagss, '{}', keys, policies)
$function$;

CREATE OR REPLACE FUNCTION reveille.submit_without_settings(task text DEFAULT NULL::text, payload jsonb DEFAULT NULL::jsonb, queue text DEFAULT NULL::text, priority integer DEFAULT NULL::integer, run_at timestamp with time zone DEFAULT NULL::timestamp with time zone, delay_seconds double precision DEFAULT NULL::double precision, max_attempts integer DEFAULT NULL::integer, timeout_seconds double precision DEFAULT NULL::double precision, tags text[] DEFAULT NULL::text[], unique_key text DEFAULT NULL::text, on_conflict text DEFAULT NULL::text)
 RETURNS TABLE(job_id uuid, status text, outcome text)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
  select * from reveille.submit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
$function$;

CREATE OR REPLACE FUNCTION reveille.tag_array(tags jsonb)
 RETURNS text[]
 LANGUAGE plpgsql
 IMMUTABLE STRICT
AS $function$
begin
  return nullif(array(select jsonb_array_elements_text(tags)), '{}');
end $function$;

CREATE OR REPLACE FUNCTION reveille.tags_are_sound(value jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case jsonb_typeof(value)
    when 'array' then jsonb_array_length(value) <= 20 and not value ? ''
      and not jsonb_path_exists(value, 'strict $[*] ? (@.type() <> "string")')
      and (octet_length(value::text) <= 66
        or not jsonb_path_exists(value, 'strict $[*] ? (@ like_regex ".{65}" flag "s")'))
    when 'null' then true
    else value is null
  end
$function$;

CREATE OR REPLACE FUNCTION reveille.text_is_sound(value jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case jsonb_typeof(value)
    when 'string' then true
    when 'null' then true
    else value is null
  end
$function$;

CREATE OR REPLACE FUNCTION reveille.texts_are_sound(value jsonb, most integer, longest integer)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case jsonb_typeof(value)
    when 'array' then jsonb_array_length(value) <= most and not value ? ''
      and not jsonb_path_exists(value, 'strict $[*] ? (@.type() <> "string")')
      and (octet_length(value::text) <= longest + 2 or not jsonb_path_exists(value,
        ('strict $[*] ? (@ like_regex ".{' || longest + 1 || '}" flag "s")')::jsonpath))
    when 'null' then true
    else value is null
  end
$function$;

CREATE OR REPLACE FUNCTION reveille.time_error(settings jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case
    when (settings #>> '{left,deadline_seconds}')::double precision <= 0 then
      reveille.limit_error('deadline_seconds', 'its', settings ->> 'deadline_seconds')
    when (settings #>> '{left,queue_ttl_seconds}')::double precision <= 0 then
      reveille.limit_error('queue_ttl_seconds', 'its', settings ->> 'queue_ttl_seconds')
  end
$function$;

CREATE OR REPLACE FUNCTION reveille.uuid7(ticks bigint, seed bigint, nth bigint)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select encode(int8send(((ticks + nth) >> 12 << 16) | (7 << 12) | ((ticks + nth) & 4095))
    || int8send((hashint8extended(nth, seed) & 4611686018427387903) | (-9223372036854775808)),
    'hex')::uuid
$function$;

CREATE OR REPLACE FUNCTION reveille.uuid7_floor(at timestamp with time zone)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select (lpad(to_hex(floor(extract(epoch from at) * 1000)::bigint), 12, '0')
    || repeat('0', 20))::uuid
$function$;

CREATE OR REPLACE FUNCTION reveille.uuid7_seed()
 RETURNS bigint
 LANGUAGE sql
 PARALLEL SAFE
AS $function$
  select ('x' || encode(substring(uuid_send(gen_random_uuid()) from 9), 'hex'))::bit(64)::bigint
$function$;

CREATE OR REPLACE FUNCTION reveille.uuid7_ticks(at timestamp with time zone)
 RETURNS bigint
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
  select floor(extract(epoch from at) * 4096000)::bigint
$function$;

CREATE OR REPLACE FUNCTION reveille.uuid7_time(id uuid)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN to_timestamp((((((('x'::text || translate("left"((id)::text, 13), '-'::text, ''::text)))::bit(48))::bigint)::numeric / 1000.0))::double precision);

CREATE OR REPLACE FUNCTION reveille.waiting_end(ids uuid[], state text, errors jsonb[])
 RETURNS TABLE(id uuid, queue text, task text, error jsonb)
 LANGUAGE plpgsql
AS $function$
begin
  return query
    with gone as materialized (
      select w.*, u.error from reveille.waiting_take(ids, false) w
      join unnest(ids, errors) u (id, error) on u.id = w.id
    ), ended as (
      insert into reveille.outcome (id, attempt, state, error)
      select g.id, g.attempt, $2::reveille.end_state, g.error from gone g
    )
    select g.id, g.queue, g.task, g.error from gone g;
end $function$;

CREATE OR REPLACE FUNCTION reveille.waiting_estimates(queues text[])
 RETURNS TABLE(queue text, due double precision, later double precision)
 LANGUAGE sql
 STABLE
AS $function$
  with waiting as (
    select c.relname as place, greatest(c.reltuples, 0) * pg_relation_size(c.oid)
      / current_setting('block_size')::integer / greatest(c.relpages, 1) as jobs
    from pg_class c where c.oid in ('reveille.ready'::regclass, 'reveille.keyed'::regclass)
  ), stats as materialized (
    select s.tablename as place, s.attname, s.most_common_vals::text::text[] as common,
      s.most_common_freqs as shares, s.histogram_bounds::text::text[] as bounds, w.jobs,
      case when s.n_distinct < 0 then -s.n_distinct * w.jobs else s.n_distinct end as kinds,
      1 - coalesce((select sum(f) from unnest(s.most_common_freqs) f), 0) as rest
    from pg_stats s join waiting w on w.place = s.tablename
    where s.schemaname = 'reveille' and s.attname in ('queue', 'run_at')
  ), past as (
    select s.place, least(1,
      coalesce((
        select sum(c.share) from unnest(s.common, s.shares) c (at, share)
        where c.at::timestamptz <= now()
      ), 0)
      + s.rest * coalesce((
        select avg((b::timestamptz <= now())::integer) from unnest(s.bounds) b
      ), 0)) as share
    from stats s where s.attname = 'run_at'
  ), each as (
    select s.place, n.name, s.jobs * coalesce(c.share,
      s.rest / greatest(s.kinds - coalesce(cardinality(s.common), 0), 1)) as jobs
    from stats s cross join unnest(queues) n (name)
    left join unnest(s.common, s.shares) c (name, share) on c.name = n.name
    where s.attname = 'queue'
  )
  select e.name, sum(round(e.jobs * p.share)), sum(round(e.jobs * (1 - p.share)))
  from each e join past p on p.place = e.place
  group by e.name
$function$;

CREATE OR REPLACE FUNCTION reveille.waiting_lock(ids uuid[], patient boolean)
 RETURNS uuid[]
 LANGUAGE plpgsql
AS $function$
declare
  here uuid[];
  there uuid[];
begin
  if not patient then
    select array_agg(k.id) into here from (
      select x.id from reveille.keyed x where x.id = any (ids) order by x.id for update skip locked
    ) k;
    select array_agg(r.id) into there from (
      select x.id from reveille.ready x where x.id = any (ids) order by x.id for update skip locked
    ) r;
    return coalesce(here || there, '{}');
  end if;
  for nth in 1..2 loop
    select array_agg(k.id) into here from (
      select x.id from reveille.keyed x where x.id = any (ids) order by x.id for update
    ) k;
    select array_agg(r.id) into there from (
      select x.id from reveille.ready x where x.id = any (ids) order by x.id for update
    ) r;
    exit when cardinality(coalesce(here || there, '{}')) = cardinality(ids)
      or not exists (select from reveille.gate);
  end loop;
  return coalesce(here || there, '{}');
end $function$;

CREATE OR REPLACE FUNCTION reveille.waiting_take(ids uuid[], patient boolean)
 RETURNS TABLE(id uuid, queue text, task text, attempt integer)
 LANGUAGE plpgsql
AS $function$
#variable_conflict use_column
declare
  locked uuid[] := reveille.waiting_lock(ids, patient);
begin
  if locked = '{}' then
    return;
  end if;
  if exists (select from reveille.gate) or exists (select from reveille.keyed) then
    insert into reveille.freed (queue, key, wakes)
    select j.queue, j.settings ->> 'concurrency_key',
      (row_number() over (partition by j.queue) = 1)::integer
    from reveille.jobs_found(locked) j where j.settings ? 'concurrency_key';
  end if;
  return query
    delete from reveille.ready r where r.id = any (locked)
    returning r.id, r.queue, r.task, r.attempt;
  return query
    delete from reveille.keyed k where k.id = any (locked)
    returning k.id, k.queue, k.task, k.attempt;
end $function$;

CREATE OR REPLACE FUNCTION reveille.wake()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION reveille.week_floor(week date)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select reveille.uuid7_floor(week::timestamp at time zone 'UTC')
$function$;

CREATE OR REPLACE FUNCTION reveille.week_number(at timestamp with time zone)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select floor((extract(epoch from at) + 259200) / 604800)::integer
$function$;

CREATE OR REPLACE FUNCTION reveille.with_settings(fields jsonb, settings jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
AS $function$
declare
  given jsonb := case jsonb_typeof(settings) when 'object' then settings else '{}' end;
  job jsonb := given - 'payload' || coalesce((
    select jsonb_object_agg(f.name, f.value) from jsonb_each(fields) f (name, value)
    where f.value <> 'null' or f.name = 'payload'
  ), '{}');
  faults jsonb;
begin
  select jsonb_agg(to_jsonb(f) order by f.pointer, f.code) into faults
  from (
    select '/settings', 'wrong_type', 'settings must be an object'
      where jsonb_typeof(settings) not in ('object', 'null')
    union all
    select '/payload', 'unknown_field', 'payload is a parameter of its own, and no setting'
      where given ? 'payload'
    union all
    select '/' || g.name, 'conflicting_fields',
      'give ' || g.name || ' as a parameter or in settings, not both'
      from jsonb_each(given) g (name, value)
      where g.value <> 'null' and g.name <> 'payload' and fields ->> g.name is not null
  ) f (pointer, code, message);
  if faults is not null then
    perform reveille.refuse(faults || coalesce((
      select jsonb_agg(to_jsonb(f) order by f.pointer) from reveille.job_faults(job) f
    ), '[]'));
  end if;
  return job;
end $function$;

CREATE OR REPLACE FUNCTION reveille.written_bytes(written text)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select octet_length(written) - case when octet_length(written) between 1048577 and 1572864 then (
    select sum(length(p.piece) - length(replace(p.piece, ' ', '')))::integer
    from unnest(string_to_array(replace(replace(written, E'\\\\', ''), E'\\"', ''), '"'))
      with ordinality p (piece, nth)
    where p.nth % 2 = 1
  ) else 0 end
$function$;

CREATE CONSTRAINT TRIGGER expiry_wake AFTER INSERT OR UPDATE OF since ON reveille.expiry DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION reveille.expiry_wake();

alter table reveille.expiry enable always trigger expiry_wake;

CREATE CONSTRAINT TRIGGER freed_wake AFTER INSERT ON reveille.freed DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.wakes > 0)) EXECUTE FUNCTION reveille.keyed_wake();

alter table reveille.freed enable always trigger freed_wake;

CREATE CONSTRAINT TRIGGER keyed_wake AFTER INSERT ON reveille.keyed DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.wakes > 0)) EXECUTE FUNCTION reveille.keyed_wake();

alter table reveille.keyed enable always trigger keyed_wake;

CREATE CONSTRAINT TRIGGER wake AFTER INSERT ON reveille.ready DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.wakes > 0)) EXECUTE FUNCTION reveille.wake();

alter table reveille.ready enable always trigger wake;

comment on column reveille.attempt.redriven_at is 'When a redrive sent the job back that had ended with this attempt. Null otherwise.';

comment on column reveille.attempt.worker_name is 'The name of a worker that was lost; of any other null, and in the table worker while that is known.';

comment on table reveille.audit is 'Who changed what, kept for 90 days. Function audit_write writes it.';

comment on column reveille.audit.action is 'A verb and a noun, such as pause_queue.';

comment on column reveille.audit.id is 'A UUIDv7 of the same moment: the order of the list.';

comment on column reveille.audit.principal is 'A kind and a name: token FINGERPRINT (8 hex digits of the SHA-256), role NAME, anonymous ADDRESS.';

comment on column reveille.audit.reason is 'The words of the caller. Of a redrive: its jobs; of a purge: its operation.';

comment on column reveille.audit.request_id is 'X-Request-Id, if the action came over HTTP.';

comment on column reveille.audit.target is 'A kind and a name, such as queue mail.';

comment on table reveille.canary is 'Redriven jobs of the present stage of an operation with a canary, until each has ended or failed.';

comment on view reveille.dead_letters is 'The jobs that failed for good, grouped by task, queue and the way they failed.';

comment on column reveille.dead_letters.code is 'The code of their errors.';

comment on column reveille.dead_letters.error is 'The error of that job.';

comment on column reveille.dead_letters.example_job_id is 'The one that failed last.';

comment on column reveille.dead_letters.family is 'The failure family, which GET /dead-letters writes as 16 hexadecimal digits. Null until the leader has found it out.';

comment on column reveille.dead_letters.first_failed_at is 'When the first of them failed.';

comment on column reveille.dead_letters.jobs is 'How many they are.';

comment on column reveille.dead_letters.last_failed_at is 'When the last of them failed.';

comment on column reveille.dead_letters.queue is 'Their queue.';

comment on column reveille.dead_letters.task is 'Their task.';

comment on table reveille.definition is 'The files of functions and views that were applied.';

comment on column reveille.definition.checksum is 'The SHA-256 of its text.';

comment on column reveille.definition.release is 'The number of the release that applied it. A release with a lower number changes nothing.';

comment on table reveille.expiry is 'Jobs with a queue_ttl_seconds or a deadline_seconds of their own, until they end.';

comment on column reveille.expiry.at is 'When the leader looks at it next.';

comment on column reveille.expiry.id is 'The job.';

comment on column reveille.expiry.since is 'When its present content was accepted: its limits count from here.';

comment on table reveille.freed is 'Concurrency keys to be looked at, since a job of each left the place where it waited.';

comment on table reveille.gate is 'Concurrency keys that a job has, or waits for. A key of which nothing waits or runs has no row.';

comment on column reveille.gate.holders is 'The jobs that have a turn: in `ready` or in a lease. Others of the key wait in `keyed`.';

comment on table reveille.idempotency is 'First answers to submissions with an Idempotency-Key, written with their jobs.';

comment on column reveille.idempotency.at is 'The time of the first answer, from which it is kept.';

comment on column reveille.idempotency.fingerprint is 'The SHA-256 of the jobs, each spelt one way. Another one beside the same key is refused.';

comment on column reveille.idempotency.ids is 'The jobs, in the order of the request.';

comment on column reveille.idempotency.outcomes is 'Their outcomes, as they were told.';

comment on column reveille.idempotency.path is 'The path of the request.';

comment on column reveille.idempotency.principal is 'Who submitted. Keys of others are other keys.';

comment on column reveille.idempotency.statuses is 'Their statuses, as they were told.';

comment on table reveille.job is 'What was submitted. max_attempts and timeout_seconds are null where the task''s own default holds.';

comment on column reveille.job.settings is 'Rare settings by the names that they have over HTTP; null without any.';

comment on view reveille.jobs is 'One row for each job, with its status and all that is known of it.';

comment on column reveille.jobs.attempt_count is 'Attempts that have begun and count.';

comment on column reveille.jobs.cancel_requested is 'Whether a cancellation was asked for while it is being processed.';

comment on column reveille.jobs.crashes is 'How often its worker was lost.';

comment on column reveille.jobs.created_at is 'When it was submitted.';

comment on column reveille.jobs.error is 'Why it failed or was cancelled: an object with code and message.';

comment on column reveille.jobs.finished_at is 'When it ended.';

comment on column reveille.jobs.job_id is 'The id of the job, a UUIDv7: jobs sort by their time of submission.';

comment on column reveille.jobs.lease is 'The claim that holds it, or that held it last.';

comment on column reveille.jobs.max_attempts is 'Attempts that it may spend: its own, its queues, its tasks, or 10.';

comment on column reveille.jobs.payload is 'What the task works on.';

comment on column reveille.jobs.priority is '0 (first) to 9.';

comment on column reveille.jobs.progress_at is 'When its handler said so.';

comment on column reveille.jobs.progress_fraction is 'How far the present attempt is, from 0 to 1, as its handler says.';

comment on column reveille.jobs.progress_message is 'What its handler says.';

comment on column reveille.jobs.queue is 'The queue it lies in.';

comment on column reveille.jobs.redrives is 'How often a redrive sent it back after it had failed.';

comment on column reveille.jobs.result is 'The result of a job that completed.';

comment on column reveille.jobs.run_at is 'It does not start before this time; while it waits again, its next start.';

comment on column reveille.jobs.settings is 'Its rare settings; null without any.';

comment on column reveille.jobs.started_at is 'When the present attempt was claimed, or the last one.';

comment on column reveille.jobs.status is 'scheduled, queued, processing, completed, failed or cancelled.';

comment on column reveille.jobs.tags is 'Its tags; null without any.';

comment on column reveille.jobs.task is 'What it is to do.';

comment on column reveille.jobs.timeout_seconds is 'The longest time of an attempt: its own, its queues, its tasks, or 900.';

comment on column reveille.jobs.unique_key is 'Its unique key, if it has one.';

comment on column reveille.jobs.worker is 'The id of the instance that holds it, or held it last.';

comment on column reveille.jobs.worker_name is 'The name of that instance, while it is known.';

comment on table reveille.keyed is 'Jobs with a concurrency_key that wait for their turn. The order of a key is (run_at, id).';

comment on column reveille.keyed.attempt is 'Attempts already spent.';

comment on column reveille.keyed.crashes is 'How often its worker was lost.';

comment on column reveille.keyed.look is 'How the sweep of the queue finds it: 1 by its key, 2 by its time; 0: the sweep has seen it, and its gate is full.';

comment on column reveille.keyed.wakes is 'Whether this row announces its statement.';

comment on column reveille.lease.cancels is 'Ids whose cancellation was asked for. Here and not in a table of its own: a statement that waited for the row''s lock sees the row as it is now, but every other table as it was when it began.';

comment on table reveille.operation is 'Work on many jobs that an operator asked for. The leader does it in steps.';

comment on column reveille.operation.canary is 'share and halt_at, and how its stage stands.';

comment on column reveille.operation.cursor is 'How far it has come. Null: it starts from the front.';

comment on column reveille.operation.halted_by is 'The job whose failure halted it.';

comment on column reveille.operation.id_bound is 'It touches no job with a higher id.';

comment on column reveille.operation.matched is 'How many jobs it was about when it was asked for.';

comment on column reveille.operation.next_at is 'When the next job may start, by the rate.';

comment on column reveille.operation.outcome is 'completed; stopped by a person; halted by its canary. Null while it is open.';

comment on column reveille.operation.rate is 'The most jobs a second; null: as many as it can.';

comment on column reveille.operation.skips is 'The first jobs that it could not move, and why.';

comment on column reveille.operation.starts_at is 'It does nothing before. Until then it can be undone.';

comment on column reveille.operation.worked_at is 'The time of its last progress.';

comment on column reveille.outcome.family is 'The failure family of a job that failed: a hash of its task, queue, code and message, without numbers and ids. Null for any other job.';

comment on column reveille.outcome.result is 'Null also for the result null of a job that completed; the view reveille.jobs tells it.';

comment on column reveille.outcome.worker_name is 'As in attempt.';

comment on view reveille.partition is 'The tables of each week, by the Monday it begins with.';

comment on column reveille.partition.name is 'Its name.';

comment on column reveille.partition.oid is 'The table.';

comment on column reveille.partition.parent is 'job, outcome or attempt.';

comment on column reveille.partition.week is 'The Monday that its week begins with.';

comment on column reveille.queue.of_file is 'Which of the settings reveille.toml gave; the others came over HTTP.';

comment on column reveille.queue.pause_of is 'The paused_at that the end, the caller and the reason belong to. The release before ends a pause and begins another without them.';

comment on column reveille.queue.pause_reason is 'Why, in the words of that caller.';

comment on column reveille.queue.paused_by is 'Who asked for the pause of pause_of, as in audit.';

comment on column reveille.queue.paused_until is 'When the pause of pause_of ends by itself.';

comment on column reveille.queue.settings is 'Defaults of its jobs, by the names that they have over HTTP; null without any.';

comment on column reveille.queue.settings_at is 'When the settings were changed last, by settings_clock; null if they never were.';

comment on column reveille.queue.touched_at is 'When it was last known to have jobs, give or take an hour, or was last changed by somebody.';

comment on column reveille.ready.attempt is 'Attempts already spent.';

comment on column reveille.ready.crashes is 'How often its worker was lost. From 2 on the job is a suspect and runs alone.';

comment on column reveille.ready.payload is 'That of the job, if it is small and the claim needs nothing else of the job: it has no max_attempts, timeout_seconds, unique_key or settings of its own. Null: look there. Only a first wait has it. Changing any of these of a waiting job sets this to null.';

comment on column reveille.ready.wakes is 'Whether this row announces its statement: 0 no, 1 its own lane, 2 its whole queue.';

comment on function reveille.audit_write(text,text,text,text,text) is 'Notes who did what, in the transaction that does it. Principal null: the role of the session.';

comment on function reveille.clocks_are_sound(jsonb) is 'Whether job_faults finds for certain that the time limits of a job fit each other and its start.';

comment on function reveille.dead_letters_from(text,text,text,bigint,timestamp with time zone,timestamp with time zone,uuid,uuid,timestamp with time zone,bigint) is 'Jobs that did not complete, from an id on, and whether a redrive with this filter is about them.';

comment on function reveille.default_error(uuid) is 'Why a job may not wait any longer, by the limits of its queue; null while it may.';

comment on function reveille.error_shown(jsonb) is 'The error with its message cut to 8 KiB.';

comment on function reveille.expire(integer) is 'Ends waiting jobs whose time is over, as many as may be due. Returns them.';

comment on function reveille.expire_defaults(integer) is 'Ends waiting jobs that a limit of their queue is over for, as many as may be due. Returns them.';

comment on function reveille.expiry_at(timestamp with time zone,jsonb) is 'When the first limit is over of a job whose content was accepted then; null without a limit.';

comment on function reveille.expiry_begin(uuid[],jsonb[]) is 'The content of these jobs is accepted: their limits count from now. Others are passed by.';

comment on function reveille.expiry_wake() is 'Announces a job that ends by itself earlier than all others, when its transaction commits.';

comment on function reveille.gate(text) is 'Whether this transaction notifies of a lane: it took the lane''s gate, or the spare one.';

comment on function reveille.gate_key(text,timestamp with time zone) is 'The key of a lane''s gate at a moment: an advisory lock for each lane and 100 ms.';

comment on function reveille.gates_open(text,text[]) is 'Gives the free turns of concurrency keys to the next jobs of each. Returns the lanes where these are, and the keys that others have locked.';

comment on function reveille.gates_yield(uuid[]) is 'Moves jobs that wait in `ready` for another attempt back among the others of their keys.';

comment on function reveille.has_begun(uuid,timestamp with time zone) is 'Whether an attempt of a job that waits has begun since then. A lost one counts as begun.';

comment on function reveille.has_ended(uuid) is 'Whether a job has ended or is gone.';

comment on function reveille.has_turn(uuid,text) is 'Whether a holder of a concurrency key still has its turn.';

comment on function reveille.idempotency_take(text,text,text,bytea,uuid[],timestamp with time zone[],double precision) is 'Writes the answer to a submission that makes these jobs, unless its key has an answer.';

comment on function reveille.insert_jobs(uuid[],text[],text[],smallint[],timestamp with time zone[],jsonb[],integer[],double precision[],jsonb[],jsonb[],text[],boolean[]) is 'Writes the checked jobs whose `wanted` is true.';

comment on function reveille.insert_rows(uuid[],text[],text[],smallint[],timestamp with time zone[],jsonb[],integer[],double precision[],jsonb[],text[],boolean[]) is 'Writes the checked jobs whose `wanted` is true.';

comment on function reveille.integer_is_sound(jsonb,numeric,numeric) is 'Whether a value is absent, null, or an integer between two others.';

comment on function reveille.is_timed(jsonb) is 'Whether these settings, of a job or of a queue, limit a life. Null without settings.';

comment on function reveille.job_columns(jsonb,timestamp with time zone,bigint,bigint) is 'The columns of jobs that were checked.';

comment on function reveille.job_faults(jsonb) is 'The rule book of a submission: one row for each fault of a job.';

comment on function reveille.job_is_sound(jsonb) is 'Whether job_faults finds nothing for certain. A job that is not sound may still have no fault.';

comment on function reveille.job_rows(jsonb,timestamp with time zone,bigint,bigint) is 'The columns of jobs that were checked.';

comment on function reveille.job_settings(jsonb) is 'The rare settings of a job; null without any.';

comment on function reveille.job_status(uuid) is 'The status of a job by the table that holds it; null if none does.';

comment on function reveille.jobs_at(uuid[]) is 'As jobs_found, without the settings.';

comment on function reveille.jobs_found(uuid[]) is 'The rows of these jobs, each with its place among the ids, from 1. A lost job has no row.';

comment on function reveille.jobs_put_back(uuid[],timestamp with time zone[],timestamp with time zone) is 'Sends jobs that have ended back to wait, with fresh attempts; how they had ended goes to their history. Returns those that it moved. Their unique keys are the caller''s.';

comment on function reveille.key_free(uuid[]) is 'Frees the unique keys of jobs that have ended, without waiting. Returns those that are locked. A key whose window goes on is left alone.';

comment on function reveille.key_is_free(uuid,timestamp with time zone) is 'Whether a unique key that this job holds until then may be taken by another one.';

comment on function reveille.key_leave(uuid) is 'Makes a job that waited let go of its unique key.';

comment on function reveille.key_take(text,text,uuid) is 'Takes a unique key for a job unless another one holds it, or its window goes on. Returns the holder. A job that holds the key already keeps its window.';

comment on function reveille.key_until(jsonb,timestamp with time zone) is 'Until when a job with these settings, accepted then, keeps its unique key beyond its end.';

comment on function reveille.key_window(uuid) is 'Until when a job that takes its unique key back keeps it beyond its end: counted from its submission. Null: no longer than it lives.';

comment on function reveille.keyed_wake() is 'Announces a queue of which concurrency keys are to be looked at, when its transaction commits.';

comment on function reveille.keys_held(text[],text[]) is 'The places, from 1, of the unique keys that others have locked.';

comment on function reveille.keys_over(bigint) is 'Frees unique keys whose window is over and whose job has ended. Returns how many windows it saw.';

comment on function reveille.keys_sweep(text,text,integer) is 'Gives turns to jobs of a queue that have come to wait for their keys. Returns what gates_open does; at last how much it did, where to go on, and in how many seconds the next job is due. Nothing: another session is at it.';

comment on function reveille.keys_taken(uuid[]) is 'Takes the unique keys of jobs. Returns the holder of each; null if another transaction has locked the key.';

comment on function reveille.life_begin(uuid[]) is 'What begins anew with jobs that have ended and are sent back: time limits, and how often they may snooze.';

comment on function reveille.limit_error(text,text,text) is 'The error of a job that a limit is over for: `its` own one, or that of `its queue''s`.';

comment on function reveille.moment(text) is 'A time by RFC 3339; null if the text is not one.';

comment on function reveille.number_is_sound(jsonb,numeric,numeric) is 'Whether a value is absent, null, or a number between two others.';

comment on function reveille.number_kept(text) is 'A sound number as settings keep it: with six decimals.';

comment on function reveille.old_lock_holders(integer,integer) is 'The other sessions that hold an advisory lock, and whether each may be a service.';

comment on function reveille.partition_ensure(integer) is 'Makes the weekly partitions from last week to so many weeks ahead.';

comment on function reveille.partition_expired(timestamp with time zone,timestamp with time zone) is 'The weeks of which nothing waits, runs or is kept any longer, the oldest first.';

comment on function reveille.partition_name(text,timestamp with time zone) is 'The name of the partition of a moment, such as job_2026w48.';

comment on function reveille.partition_tune(text) is 'Sets how a partition is vacuumed.';

comment on function reveille.payload_fault(jsonb) is 'The fault of a payload that jsonb takes and Reveille does not, if there is one.';

comment on function reveille.payload_is_sound(jsonb) is 'Whether payload_fault finds nothing for certain.';

comment on function reveille.payload_walk(jsonb) is 'The numbers and containers of a payload, down to 65 levels, each with its JSON pointer.';

comment on function reveille.pointer_token(text) is 'A name as a token of a JSON pointer (RFC 6901).';

comment on function reveille.queue_state(text[]) is 'How these queues stand: one row for each name, known or not.';

comment on function reveille.refuse(jsonb) is 'Fails with these faults of a submission, if there are any.';

comment on function reveille.retry_is_sound(jsonb) is 'Whether job_faults finds nothing for certain in the object `retry` of a job.';

comment on function reveille.settings_left(uuid,jsonb) is 'The settings of a job, with what is left of its limits.';

comment on function reveille.snoozes(uuid[]) is 'The snoozes of these jobs that are kept, the last as the first, and how many there were in all.';

comment on function reveille.snoozes_begin(uuid[]) is 'These jobs may snooze as often as new ones: their content was accepted anew.';

comment on function reveille.submission_fields() is 'The fields of a submission: what each takes, and beside which others it may stand.';

comment on function reveille.submit(text,jsonb,text,integer,timestamp with time zone,double precision,integer,double precision,text[],text,text,jsonb) is 'Submits a job in the caller''s transaction, and answers with its id, its status and what became of the submission: created, existing or replaced. Only payload is required. settings takes any other field by its name over HTTP. DETAIL of an error lists all faults as JSON.';

comment on function reveille.submit_checked(jsonb,boolean) is 'Checks jobs and submits them, all or none.';

comment on function reveille.submit_keyed(uuid[],text[],text[],smallint[],timestamp with time zone[],jsonb[],integer[],double precision[],jsonb[],jsonb[],text[],text[]) is 'Submits jobs that were checked. The outcome of each is created, existing, replaced or rejected.';

comment on function reveille.submit_many(jsonb) is 'Submits 1 to 10000 jobs in the caller''s transaction, all or none, and answers in their order, as submit does. The jobs are a JSON array of objects, with the fields that they have over HTTP.';

comment on function reveille.submit_once(text[],text[],text[],bytea[],integer[],integer[],boolean[],double precision,uuid[],text[],text[],smallint[],timestamp with time zone[],jsonb[],integer[],double precision[],jsonb[],jsonb[],text[],text[]) is 'Submits jobs that were checked, those of each key once, and answers a key that was seen as then.';

comment on function reveille.submit_rows(uuid[],text[],text[],smallint[],timestamp with time zone[],jsonb[],integer[],double precision[],jsonb[],text[],text[]) is 'As submit_keyed, of jobs without settings.';

comment on function reveille.submit_without_settings(text,jsonb,text,integer,timestamp with time zone,double precision,integer,double precision,text[],text,text) is 'For what was made to call an earlier submit.';

comment on function reveille.tag_array(jsonb) is 'The strings of an array; null for an empty one.';

comment on function reveille.tags_are_sound(jsonb) is 'Whether a value is absent, null, or an array of tags.';

comment on function reveille.text_is_sound(jsonb) is 'Whether a value is absent, null, or a string.';

comment on function reveille.texts_are_sound(jsonb,integer,integer) is 'Whether a value is null, or a list of so many strings of 1 to so many characters.';

comment on function reveille.time_error(jsonb) is 'Why a job may not wait any longer, by its settings with what is left; null while it may.';

comment on function reveille.uuid7(bigint,bigint,bigint) is 'A UUIDv7 (RFC 9562). `ticks` are 1/4096 ms since 1970, `seed` has the random bits.';

comment on function reveille.uuid7_floor(timestamp with time zone) is 'The least UUIDv7 of a moment: where a partition begins, and where a search by time starts.';

comment on function reveille.uuid7_seed() is 'Random bits for the ids of one call.';

comment on function reveille.uuid7_ticks(timestamp with time zone) is 'A moment in units of 1/4096 ms since 1970.';

comment on function reveille.uuid7_time(uuid) is 'The moment in a UUIDv7, to the millisecond.';

comment on function reveille.waiting_end(uuid[],text,jsonb[]) is 'Ends those of these jobs that wait, each with its error. Returns them.';

comment on function reveille.waiting_estimates(text[]) is 'How many jobs wait in these queues, due and to come, by the statistics alone.';

comment on function reveille.waiting_lock(uuid[],boolean) is 'Locks those of these jobs that wait, wherever they lie, and returns them. A caller who is not patient passes by what others have locked.';

comment on function reveille.waiting_take(uuid[],boolean) is 'Takes those of these jobs that wait out of where they wait. The caller decides what they become.';

comment on function reveille.wake() is 'Announces the lane or the queue of a waiting job when its transaction commits.';

comment on function reveille.week_floor(date) is 'The least id of a week.';

comment on function reveille.week_number(timestamp with time zone) is 'The number of a week, counted from the week of 1970-01-01.';

comment on function reveille.with_settings(jsonb,jsonb) is 'The fields of a job that has settings as well.';

comment on function reveille.written_bytes(text) is 'The bytes of a jsonb, given as its text, without the blanks after commas and colons.';

comment on table reveille.settings_clock is 'The time of the last change of settings. It rises with each change, although the clock of the server may be set back.';

comment on table reveille.settings_file is 'The tables of reveille.toml that were applied, each content once; the last one is in force.';

comment on column reveille.settings_file.applied_at is 'When an instance applied them.';

comment on column reveille.settings_file.digest is 'SHA-256 of what the tables say.';

comment on table reveille.superseded is 'Jobs whose unique key went to a replacement while a worker held them. Such a job does not wait again.';

comment on column reveille.superseded.replacement is 'The job that took the key.';

comment on table reveille.sweeper is 'Queues whose concurrency keys are looked at.';

comment on column reveille.task.retry is 'base_seconds, factor, max_seconds and jitter of the back-off between its attempts.';

comment on column reveille.unique_key.first_at is 'From when on debounce_max_seconds counts: the first submission with it since the job last began.';

comment on column reveille.unique_key.until is 'Until then the key stays taken although its job has completed. Null: not beyond the end of the job. A service of the release before frees such a key with the job that it forgets.';

comment on view reveille.waiting is 'Each job that waits, once: where it lies, and the concurrency_key that it waits for.';

comment on table reveille.week is 'The weeks that have partitions. Who sends a job of a week back to wait has a share lock on its row; who removes the week locks the row, looks a last time, and marks it.';

comment on column reveille.week.number is 'As reveille.week_number counts.';

comment on column reveille.week.removing_since is 'Its partitions are being removed since then, and no job of it is sent back to wait.';

comment on column reveille.worker.queues is 'The queues it serves; null for all of them.';
