-- id uuid. The job. While it waits or runs again, it has the error of the last attempt that counts.
-- Content that replaced other content, or that a person sent back, has had none.
select v.job_id, v.status, v.queue, v.task, v.priority, v.run_at, v.created_at, v.attempt_count, v.crashes::integer, v.max_attempts,
  v.timeout_seconds, v.tags, v.unique_key, v.payload, v.lease, v.worker, v.worker_name, v.started_at, v.finished_at, v.result,
  reveille.error_shown(coalesce(v.error, case when v.status <> 'completed' then (
    select a.error from reveille.attempt a
    where a.id = $1::uuid and (a.ending = 'lost' and v.crashes > 0
      or a.ending = 'failed' and a.attempt <= v.attempt_count - (v.status = 'processing')::integer)
    order by a.ended_at desc limit 1
  ) end)) as error,
  v.progress_fraction, v.progress_message, v.progress_at, v.cancel_requested, v.settings, v.redrives
from reveille.jobs v where v.job_id = $1::uuid
