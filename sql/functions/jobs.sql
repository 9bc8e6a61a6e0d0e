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
  coalesce(j.max_attempts, t.max_attempts, 10) as max_attempts,
  coalesce(j.timeout_seconds, t.timeout_seconds, 900) as timeout_seconds,
  j.tags, j.unique_key, j.payload,
  coalesce(o.lease, l.lease) as lease,
  coalesce(o.worker, l.worker) as worker,
  coalesce(o.worker_name, w.name) as worker_name,
  coalesce(o.claimed_at, l.claimed_at) as started_at,
  o.ended_at as finished_at,
  coalesce(o.result, case when o.state = 'completed' then 'null'::jsonb end) as result,
  o.error,
  p.fraction as progress_fraction, p.message as progress_message, p.updated_at as progress_at,
  coalesce(j.id = any (l.cancels), false) as cancel_requested
from reveille.job j
left join reveille.ready r on r.id = j.id
left join reveille.outcome o on o.id = j.id
left join lateral (
  select x.* from reveille.lease x
  where r.id is null and o.id is null and j.id = any (x.ids) limit 1
) l on true
left join reveille.worker w on w.id = coalesce(o.worker, l.worker)
left join reveille.task t on t.name = j.task
left join reveille.progress p on p.id = j.id and r.id is null
  and p.updated_at >= coalesce(o.claimed_at, l.claimed_at);

comment on view reveille.jobs is
  'One row for each job, with its status and all that is known of it.';
revoke all on reveille.jobs from public;
