create or replace function reveille.submit_many(jobs jsonb)
returns table (job_id uuid, status text, outcome text)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan as $$
begin
  if jsonb_typeof(jobs) is distinct from 'array' then
    raise exception using errcode = 'invalid_parameter_value',
      message = 'submit_many takes a JSON array of jobs',
      detail = '[{"pointer": "", "code": "wrong_type", "message": "expected an array of jobs"}]',
      hint = 'Put the jobs into an array, also a single one.';
  end if;
  if jsonb_array_length(jobs) not between 1 and 10000 then
    raise exception using errcode = 'invalid_parameter_value',
      message = 'submit_many takes a JSON array of 1 to 10000 jobs',
      detail = '[{"pointer": "", "code": "batch_size", '
        '"message": "a batch is a JSON array of 1 to 10000 jobs"}]',
      hint = 'Split a longer list into several calls.';
  end if;
  return query select s.job_id, s.status, s.outcome from reveille.submit_checked(jobs, true) s
    order by s.nth;
end $$;

comment on function reveille.submit_many is
  'Submits 1 to 10000 jobs in the caller''s transaction, all or none, and answers in their order, as '
  'submit does. The jobs are a JSON array of objects, with the fields that they have over HTTP.';
revoke all on function reveille.submit_many from public;
