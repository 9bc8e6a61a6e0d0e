-- As submit.sql, of jobs that start now and have no settings of their own, which costs less: ids
-- uuid[], queues text[], tasks text[], priorities smallint[], payloads jsonb[], notes text[].
with u as materialized (
  select * from unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[], $5::jsonb[]) u (id, queue, task, priority, payload)
), j as (
  insert into reveille.job (id, queue, task, priority, run_at, payload)
  select id, queue, task, priority, now(), payload from u
  returning 1
), r as (
  insert into reveille.ready (queue, task, priority, run_at, id, payload)
  select queue, task, priority, now(), id, case when pg_column_size(payload) <= 128 then payload end from u
  returning 1
)
select pg_notify('reveille', note) from unnest($6::text[]) note
where (select count(*) from j) + (select count(*) from r) > 0
  and (note like 'queue %' or pg_try_advisory_xact_lock(reveille.gate_key(substr(note, 6), clock_timestamp()) # 2))
