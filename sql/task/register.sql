-- names text[], descriptions text[], max_attempts int[], timeouts float8[], retries, payload
-- schemas, result schemas, examples jsonb[].
insert into reveille.task (name, description, max_attempts, timeout_seconds, retry, payload_schema, result_schema, example)
select * from unnest($1::text[], $2::text[], $3::integer[], $4::double precision[], $5::jsonb[], $6::jsonb[], $7::jsonb[], $8::jsonb[])
order by 1
on conflict (name) do update set description = excluded.description, max_attempts = excluded.max_attempts,
  timeout_seconds = excluded.timeout_seconds, retry = excluded.retry, payload_schema = excluded.payload_schema,
  result_schema = excluded.result_schema, example = excluded.example, updated_at = now()
where (task.description, task.max_attempts, task.timeout_seconds, task.retry, task.payload_schema, task.result_schema,
    task.example)
  is distinct from (excluded.description, excluded.max_attempts, excluded.timeout_seconds, excluded.retry,
    excluded.payload_schema, excluded.result_schema, excluded.example)
