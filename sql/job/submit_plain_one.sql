-- As submit_one.sql, of a job that starts now and has no settings of its own: id uuid, queue text,
-- task text, priority smallint, payload jsonb, note text.
with j as (
  insert into reveille.job (id, queue, task, priority, run_at, payload) values ($1, $2, $3, $4, now(), $5)
  returning 1
), r as (
  insert into reveille.ready (queue, task, priority, run_at, id, payload)
  values ($2, $3, $4, now(), $1, case when pg_column_size($5::jsonb) <= 128 then $5 end)
  returning 1
)
select pg_notify('reveille', $6::text) from j, r
where $6 is not null and pg_try_advisory_xact_lock(reveille.gate_key(substr($6, 6), clock_timestamp()) # 2)
