-- statuses, queues, tasks (any of them), tags (all of them) text[]; unique key text (null: any).
-- below and from uuid (ids, so times); payload to contain jsonb (null: any). payloads and results
-- boolean (whether to read them); limit bigint; the most jobs to look at bigint. way text; bytes
-- bigint. The newest first. A filter without an index is tried on one job after the other, up to
-- the most to look at. The last row says whether the list was `cut` there. It may be a job that was
-- not looked for (`fits` is false). The way names the table: `each` that of all jobs, another the
-- one that holds jobs of these statuses (`waiting`, `completed`, `failed_or_cancelled`,
-- `processing`). Branches of other ways are never executed. Tags and keys are compared as their
-- indexes are sorted: byte by byte. The rows end (`cut` too) once payloads, results and errors have
-- so many bytes.
with recursive page as materialized (
  select p.id, p.fits, p.nth = $12::bigint as cut, row_number() over (order by p.id desc) as place from (
    -- Any status, and several that lie in different tables; where a tag or a key leads to few jobs,
    -- single ones too.
    (select * from (
      select j.id, row_number() over (order by j.id desc) as nth,
        ($2::text[] is null or j.queue = any ($2::text[])) and ($3::text[] is null or j.task = any ($3::text[])) and ($8::jsonb is null or j.payload @> $8::jsonb)
        and case when $1::text[] is null then true else coalesce(
          -- Single values, because the planner would make a hash of all that EXISTS could find.
          (select case when r.run_at > now() then 'scheduled' else 'queued' end = any ($1::text[]) from reveille.waiting r where r.id = j.id limit 1),
          (select o.state::text = any ($1::text[]) from reveille.outcome o where o.id = j.id limit 1),
          'processing' = any ($1::text[]) and (select true from reveille.lease l where j.id = any (l.ids) limit 1),
          false)
        end as fits
      from (
        select j.* from reveille.job j
        where $13::text = 'each'
          and j.id < $6::uuid and j.id >= $7::uuid and ($4::text[] is null or j.tags collate "C" @> $4::text[]) and ($5::text is null or j.unique_key collate "C" = $5::text)
        order by j.id desc
        limit case when $1::text[] is null and $2::text[] is null and $3::text[] is null and $8::jsonb is null then $11::bigint else $12::bigint end
      ) j
    ) w where w.fits or w.nth = $12::bigint order by w.id desc limit $11::bigint)
    union all
    (select * from (
      select r.id, row_number() over (order by r.id desc) as nth,
        case when r.run_at > now() then 'scheduled' else 'queued' end = any ($1::text[]) and ($2::text[] is null or r.queue = any ($2::text[])) and ($3::text[] is null or r.task = any ($3::text[]))
        and case when $8::jsonb is null then true else coalesce((select true from reveille.job j where j.id = r.id and j.payload @> $8::jsonb limit 1), false) end as fits
      from (
        select r.* from reveille.waiting r
        where $13::text = 'waiting' and r.id < $6::uuid and r.id >= $7::uuid
        order by r.id desc limit $12::bigint
      ) r
    ) w where w.fits or w.nth = $12::bigint order by w.id desc limit $11::bigint)
    union all
    (select * from (
      select o.id, row_number() over (order by o.id desc) as nth,
        o.state = 'completed' and case when $2::text[] is null and $3::text[] is null and $8::jsonb is null then true else coalesce((
          select true from reveille.job j where j.id = o.id and ($2::text[] is null or j.queue = any ($2::text[])) and ($3::text[] is null or j.task = any ($3::text[]))
            and ($8::jsonb is null or j.payload @> $8::jsonb) limit 1
        ), false) end as fits
      from (
        select o.id, o.state from reveille.outcome o
        where $13::text = 'completed' and o.id < $6::uuid and o.id >= $7::uuid
        order by o.id desc limit $12::bigint
      ) o
    ) w where w.fits or w.nth = $12::bigint order by w.id desc limit $11::bigint)
    union all
    (select * from (
      select o.id, row_number() over (order by o.id desc) as nth,
        o.state::text = any ($1::text[]) and case when $2::text[] is null and $3::text[] is null and $8::jsonb is null then true else coalesce((
          select true from reveille.job j where j.id = o.id and ($2::text[] is null or j.queue = any ($2::text[])) and ($3::text[] is null or j.task = any ($3::text[]))
            and ($8::jsonb is null or j.payload @> $8::jsonb) limit 1
        ), false) end as fits
      from (
        select o.id, o.state from reveille.outcome o
        where $13::text = 'failed_or_cancelled' and o.state <> 'completed'
          and o.id < $6::uuid and o.id >= $7::uuid
        order by o.id desc limit $12::bigint
      ) o
    ) w where w.fits or w.nth = $12::bigint order by w.id desc limit $11::bigint)
    union all
    -- There are never more of these than the workers have slots.
    (select j.id, 0, true from (select unnest(l.ids) as id from reveille.lease l where $13::text = 'processing') l join reveille.job j on j.id = l.id
     where j.id < $6::uuid and j.id >= $7::uuid and ($2::text[] is null or j.queue = any ($2::text[])) and ($3::text[] is null or j.task = any ($3::text[]))
       and ($4::text[] is null or j.tags collate "C" @> $4::text[]) and ($5::text is null or j.unique_key collate "C" = $5::text) and ($8::jsonb is null or j.payload @> $8::jsonb)
     order by j.id desc limit $11::bigint)
  ) p (id, nth, fits) order by p.id desc limit $11::bigint
), walk (place, bytes) as (
  -- How many bytes the rows before each place have. No value is read once there are enough.
  select 1::bigint, 0::bigint
  union all
  select w.place + 1, w.bytes + case when p.fits then
    coalesce((select octet_length(j.payload::text) from reveille.job j where $9::boolean and j.id = p.id), 0)
    + coalesce((select coalesce(octet_length(case when $10::boolean then o.result end::text), 0) + coalesce(octet_length(o.error::text), 0)
      from reveille.outcome o where o.id = p.id), 0)
    else 0 end
  from walk w join page p on p.place = w.place
  where w.bytes < $14::bigint
)
select page.id, page.fits, page.cut or exists (select from walk x join page p on p.place = x.place where x.bytes >= $14::bigint) as cut,
  v.job_id, v.status, v.queue, v.task, v.priority, v.run_at, v.created_at, v.attempt_count,
  v.crashes::integer, v.max_attempts, v.timeout_seconds, v.tags, v.unique_key, case when $9::boolean then v.payload end as payload,
  v.lease, v.worker, v.worker_name, v.started_at, v.finished_at, case when $10::boolean then v.result end as result, reveille.error_shown(v.error) as error,
  v.progress_fraction, v.progress_message, v.progress_at, v.cancel_requested, v.settings, v.redrives
from walk join page on page.place = walk.place
left join lateral (select * from reveille.jobs v where v.job_id = page.id limit 1) v on true
where walk.bytes < $14::bigint
order by page.id desc
