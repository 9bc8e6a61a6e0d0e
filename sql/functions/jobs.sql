-- The holder of a job is looked for only if the job neither waits nor has ended: nothing indexes
-- the ids of leases. People and the API read this; no hot statement does.
create or replace view reveille.jobs as
select
  j.id as job_id,
  case
    when r.id is not null then case when r.run_at > now() then 'scheduled' else 'queued' end
    when o.id is not null then o.state::text
    else 'processing'
  end as status,
  j.queue, j.task, j.priority,
  coalesce(r.run_at, j.run_at) as run_at,
  reveille.uuid7_time(j.id) as created_at,
  coalesce(r.attempt, o.attempt, l.attempts[array_position(l.ids, j.id)]) as attempt_count,
  coalesce(r.crashes, l.crashes[array_position(l.ids, j.id)], 0::smallint) as crashes,
  coalesce(j.max_attempts, (q.settings ->> 'max_attempts')::integer, t.max_attempts, 10)
    as max_attempts,
  coalesce(j.timeout_seconds, (q.settings ->> 'timeout_seconds')::double precision,
    t.timeout_seconds, 900) as timeout_seconds,
  j.tags, j.unique_key, j.payload,
  coalesce(o.lease, l.lease) as lease,
  coalesce(o.worker, l.worker) as worker,
  coalesce(o.worker_name, w.name) as worker_name,
  coalesce(o.claimed_at, l.claimed_at) as started_at,
  o.ended_at as finished_at,
  coalesce(o.result, case when o.state = 'completed' then 'null'::jsonb end) as result,
  o.error,
  p.fraction as progress_fraction, p.message as progress_message, p.updated_at as progress_at,
  coalesce(j.id = any (l.cancels), false) as cancel_requested,
  j.settings,
  (select count(*)::integer from reveille.attempt a
    where a.id = j.id and a.redriven_at is not null) as redrives
from reveille.job j
left join reveille.waiting r on r.id = j.id
left join reveille.outcome o on o.id = j.id
left join lateral (
  select x.* from reveille.lease x
  where r.id is null and o.id is null and j.id = any (x.ids) limit 1
) l on true
left join reveille.worker w on w.id = coalesce(o.worker, l.worker)
left join reveille.task t on t.name = j.task
left join reveille.queue q on q.name = j.queue
left join reveille.progress p on p.id = j.id and r.id is null
  and p.updated_at >= coalesce(o.claimed_at, l.claimed_at);

comment on view reveille.jobs is
  'One row for each job, with its status and all that is known of it.';
comment on column reveille.jobs.job_id is
  'The id of the job, a UUIDv7: jobs sort by their time of submission.';
comment on column reveille.jobs.status is
  'scheduled, queued, processing, completed, failed or cancelled.';
comment on column reveille.jobs.queue is 'The queue it lies in.';
comment on column reveille.jobs.task is 'What it is to do.';
comment on column reveille.jobs.priority is '0 (first) to 9.';
comment on column reveille.jobs.run_at is
  'It does not start before this time; while it waits again, its next start.';
comment on column reveille.jobs.created_at is 'When it was submitted.';
comment on column reveille.jobs.attempt_count is 'Attempts that have begun and count.';
comment on column reveille.jobs.crashes is 'How often its worker was lost.';
comment on column reveille.jobs.max_attempts is
  'Attempts that it may spend: its own, its queues, its tasks, or 10.';
comment on column reveille.jobs.timeout_seconds is
  'The longest time of an attempt: its own, its queues, its tasks, or 900.';
comment on column reveille.jobs.tags is 'Its tags; null without any.';
comment on column reveille.jobs.unique_key is 'Its unique key, if it has one.';
comment on column reveille.jobs.payload is 'What the task works on.';
comment on column reveille.jobs.lease is 'The claim that holds it, or that held it last.';
comment on column reveille.jobs.worker is 'The id of the instance that holds it, or held it last.';
comment on column reveille.jobs.worker_name is 'The name of that instance, while it is known.';
comment on column reveille.jobs.started_at is
  'When the present attempt was claimed, or the last one.';
comment on column reveille.jobs.finished_at is 'When it ended.';
comment on column reveille.jobs.result is 'The result of a job that completed.';
comment on column reveille.jobs.error is
  'Why it failed or was cancelled: an object with code and message.';
comment on column reveille.jobs.progress_fraction is
  'How far the present attempt is, from 0 to 1, as its handler says.';
comment on column reveille.jobs.progress_message is 'What its handler says.';
comment on column reveille.jobs.progress_at is 'When its handler said so.';
comment on column reveille.jobs.cancel_requested is
  'Whether a cancellation was asked for while it is being processed.';
comment on column reveille.jobs.settings is 'Its rare settings; null without any.';
comment on column reveille.jobs.redrives is 'How often a redrive sent it back after it had failed.';
revoke all on reveille.jobs from public;
