-- id uuid, queue text, task text, priority smallint, run_at timestamptz and delay float8 (seconds;
-- both null: now), payload jsonb, max_attempts int, timeout float8, tags jsonb, settings jsonb,
-- note text (null: none), which names a lane. As submit.sql, of one job without time limits, which
-- costs less for a single row.
with j as (
  insert into reveille.job (id, queue, task, priority, run_at, payload, max_attempts,
    timeout_seconds, tags, settings)
  values ($1, $2, $3, $4,
    coalesce($5::timestamptz, now() + coalesce($6::double precision, 0) * interval '1 second'),
    $7, $8, $9, reveille.tag_array($10), $11)
  returning 1
), r as (
  insert into reveille.ready (queue, task, priority, run_at, id, payload)
  values ($2, $3, $4,
    coalesce($5::timestamptz, now() + coalesce($6::double precision, 0) * interval '1 second'), $1,
    case when pg_column_size($7::jsonb) <= 128 and $8::integer is null
      and $9::double precision is null and $11::jsonb is null then $7 end)
  returning 1
)
select pg_notify('reveille', $12::text) from j, r
where $12 is not null
  and pg_try_advisory_xact_lock(reveille.gate_key(substr($12, 6), clock_timestamp()) # 2)
