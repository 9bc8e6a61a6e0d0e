-- A job's own time wins, then its delay, then the moment of the call. Its own priority wins, then
-- that of its queue. Few queues have one, and an index holds those alone.
create or replace function reveille.job_columns(
  jobs jsonb, moment timestamptz, ticks bigint, seed bigint
) returns table (
  nth bigint, id uuid, queue text, task text, priority smallint, run_at timestamptz, payload jsonb,
  max_attempts integer, timeout double precision, tags jsonb, settings jsonb, key text, policy text
)
language sql stable as $$
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
$$;

comment on function reveille.job_columns is 'The columns of jobs that were checked.';
revoke all on function reveille.job_columns from public;
