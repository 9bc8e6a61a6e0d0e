-- status, queue, task, tag, unique key text (null: any), below and from uuid (ids, so times), payload to contain jsonb (null:
-- any), payloads and results boolean (whether to read them), limit bigint, the most jobs to look at bigint. The newest first.
-- What a filter has no index for is looked for one job after the other, in the table that holds jobs of that status, and no
-- further than the most to look at: the last row says so (`cut`), whether it is one that was looked for (`fits`) or not. Other
-- branches than that of the status are never executed. Tags and keys are compared as their indexes are sorted: byte by byte.
with page as materialized (
  select p.id, p.fits, p.nth = $12::bigint as cut from (
    -- Any status; and every one but processing where a tag or a key leads to the few jobs that have it.
    (select * from (
      select j.id, row_number() over (order by j.id desc) as nth,
        ($2::text is null or j.queue = $2::text) and ($3::text is null or j.task = $3::text) and ($8::jsonb is null or j.payload @> $8::jsonb)
        and case when $1::text is null then true
          when $1::text in ('queued', 'scheduled')
            then exists (select from reveille.ready r where r.id = j.id and (r.run_at > now()) = ($1::text = 'scheduled'))
          else exists (select from reveille.outcome o where o.id = j.id and o.state::text = $1::text)
        end as fits
      from (
        select j.* from reveille.job j
        where ($1::text is null or $1::text <> 'processing' and ($4::text is not null or $5::text is not null))
          and j.id < $6::uuid and j.id >= $7::uuid and ($4::text is null or j.tags collate "C" @> array[$4::text]) and ($5::text is null or j.unique_key collate "C" = $5::text)
        order by j.id desc
        limit case when $1::text is null and $2::text is null and $3::text is null and $8::jsonb is null then $11::bigint else $12::bigint end
      ) j
    ) w where w.fits or w.nth = $12::bigint order by w.id desc limit $11::bigint)
    union all
    (select * from (
      select r.id, row_number() over (order by r.id desc) as nth,
        (r.run_at > now()) = ($1::text = 'scheduled') and ($2::text is null or r.queue = $2::text) and ($3::text is null or r.task = $3::text)
        and case when $8::jsonb is null then true else exists (select from reveille.job j where j.id = r.id and j.payload @> $8::jsonb) end as fits
      from (
        select r.* from reveille.ready r
        where $1::text in ('queued', 'scheduled') and $4::text is null and $5::text is null and r.id < $6::uuid and r.id >= $7::uuid
        order by r.id desc limit $12::bigint
      ) r
    ) w where w.fits or w.nth = $12::bigint order by w.id desc limit $11::bigint)
    union all
    (select * from (
      select o.id, row_number() over (order by o.id desc) as nth,
        o.state = 'completed' and case when $2::text is null and $3::text is null and $8::jsonb is null then true else exists (
          select from reveille.job j where j.id = o.id and ($2::text is null or j.queue = $2::text) and ($3::text is null or j.task = $3::text)
            and ($8::jsonb is null or j.payload @> $8::jsonb)
        ) end as fits
      from (
        select o.id, o.state from reveille.outcome o
        where $1::text = 'completed' and $4::text is null and $5::text is null and o.id < $6::uuid and o.id >= $7::uuid
        order by o.id desc limit $12::bigint
      ) o
    ) w where w.fits or w.nth = $12::bigint order by w.id desc limit $11::bigint)
    union all
    (select * from (
      select o.id, row_number() over (order by o.id desc) as nth,
        o.state::text = $1::text and case when $2::text is null and $3::text is null and $8::jsonb is null then true else exists (
          select from reveille.job j where j.id = o.id and ($2::text is null or j.queue = $2::text) and ($3::text is null or j.task = $3::text)
            and ($8::jsonb is null or j.payload @> $8::jsonb)
        ) end as fits
      from (
        select o.id, o.state from reveille.outcome o
        where $1::text in ('failed', 'cancelled') and o.state <> 'completed' and $4::text is null and $5::text is null
          and o.id < $6::uuid and o.id >= $7::uuid
        order by o.id desc limit $12::bigint
      ) o
    ) w where w.fits or w.nth = $12::bigint order by w.id desc limit $11::bigint)
    union all
    -- There are never more of these than the workers have slots.
    (select j.id, 0, true from (select unnest(l.ids) as id from reveille.lease l where $1::text = 'processing') l join reveille.job j on j.id = l.id
     where j.id < $6::uuid and j.id >= $7::uuid and ($2::text is null or j.queue = $2::text) and ($3::text is null or j.task = $3::text)
       and ($4::text is null or j.tags collate "C" @> array[$4::text]) and ($5::text is null or j.unique_key collate "C" = $5::text) and ($8::jsonb is null or j.payload @> $8::jsonb)
     order by j.id desc limit $11::bigint)
  ) p (id, nth, fits) order by p.id desc limit $11::bigint
)
select page.id, page.fits, page.cut, v.job_id, v.status, v.queue, v.task, v.priority, v.run_at, v.created_at, v.attempt_count,
  v.crashes::integer, v.max_attempts, v.timeout_seconds, v.tags, v.unique_key, case when $9::boolean then v.payload end as payload,
  v.lease, v.worker, v.worker_name, v.started_at, v.finished_at, case when $10::boolean then v.result end as result, v.error,
  v.progress_fraction, v.progress_message, v.progress_at, v.cancel_requested
from page left join lateral (select * from reveille.jobs v where v.job_id = page.id limit 1) v on true
order by page.id desc
