-- status, queue, task, tag, unique key text (null: any), below and from uuid (ids, so times), payload to contain jsonb (null:
-- any), payloads and results boolean (whether to read them), limit bigint. The newest first. Each status walks the table that
-- holds such jobs, and the few that failed or were cancelled an index of their own; the other branches are never executed.
with page as (
  select p.id from (
    (select j.id from reveille.job j
     where $1::text is null and j.id < $6::uuid and j.id >= $7::uuid and ($2::text is null or j.queue = $2) and ($3::text is null or j.task = $3)
       and ($4::text is null or j.tags @> array[$4]) and ($5::text is null or j.unique_key = $5) and ($8::jsonb is null or j.payload @> $8)
     order by j.id desc limit $11::bigint)
    union all
    (select j.id from reveille.ready r join reveille.job j on j.id = r.id
     where $1::text in ('queued', 'scheduled') and (r.run_at > now()) = ($1 = 'scheduled') and r.id < $6::uuid and r.id >= $7::uuid
       and ($2::text is null or r.queue = $2) and ($3::text is null or r.task = $3) and ($4::text is null or j.tags @> array[$4])
       and ($5::text is null or j.unique_key = $5) and ($8::jsonb is null or j.payload @> $8)
     order by r.id desc limit $11::bigint)
    union all
    (select j.id from reveille.outcome o join reveille.job j on j.id = o.id
     where $1::text = 'completed' and o.state = 'completed' and o.id < $6::uuid and o.id >= $7::uuid
       and ($2::text is null or j.queue = $2) and ($3::text is null or j.task = $3) and ($4::text is null or j.tags @> array[$4])
       and ($5::text is null or j.unique_key = $5) and ($8::jsonb is null or j.payload @> $8)
     order by o.id desc limit $11::bigint)
    union all
    (select j.id from reveille.outcome o join reveille.job j on j.id = o.id
     where $1::text in ('failed', 'cancelled') and o.state <> 'completed' and o.state::text = $1 and o.id < $6::uuid and o.id >= $7::uuid
       and ($2::text is null or j.queue = $2) and ($3::text is null or j.task = $3) and ($4::text is null or j.tags @> array[$4])
       and ($5::text is null or j.unique_key = $5) and ($8::jsonb is null or j.payload @> $8)
     order by o.id desc limit $11::bigint)
    union all
    (select j.id from (select unnest(l.ids) as id from reveille.lease l where $1::text = 'processing') l join reveille.job j on j.id = l.id
     where j.id < $6::uuid and j.id >= $7::uuid and ($2::text is null or j.queue = $2) and ($3::text is null or j.task = $3)
       and ($4::text is null or j.tags @> array[$4]) and ($5::text is null or j.unique_key = $5) and ($8::jsonb is null or j.payload @> $8)
     order by j.id desc limit $11::bigint)
  ) p order by p.id desc limit $11::bigint
)
select v.job_id, v.status, v.queue, v.task, v.priority, v.run_at, v.created_at, v.attempt_count, v.crashes::integer, v.max_attempts,
  v.timeout_seconds, v.tags, v.unique_key, case when $9::boolean then v.payload end as payload, v.lease, v.worker, v.worker_name,
  v.started_at, v.finished_at, case when $10::boolean then v.result end as result, v.error, v.progress_fraction,
  v.progress_message, v.progress_at, v.cancel_requested
from page cross join lateral (select * from reveille.jobs v where v.job_id = page.id limit 1) v
order by v.job_id desc
