-- The faults of a list have its index before their pointer: /0 and so on. There are at most as many
-- of them as the HTTP API tells.
create or replace function reveille.submit_checked(jobs jsonb, listed boolean)
returns table (nth bigint, job_id uuid, status text, outcome text)
language plpgsql as $$
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
end $$;

comment on function reveille.submit_checked is 'Checks jobs and submits them, all or none.';
revoke all on function reveille.submit_checked from public;
