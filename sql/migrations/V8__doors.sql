-- What a task says of its retries, for those who ask; null where the service that registered it did not say.
alter table reveille.task add column retry jsonb;
comment on column reveille.task.retry is 'base_seconds, factor, max_seconds and jitter of the back-off between its attempts.';

-- The rules that the SQL door had of its own become those of the others: the same codes, at the same places.

create function reveille.pointer_token(name text) returns text
language sql immutable parallel safe as $$
  select replace(replace(name, '~', '~0'), '/', '~1')
$$;

-- The numbers and containers of a payload down to the first level that is too deep, each with its JSON pointer.
create function reveille.payload_walk(payload jsonb) returns table (pointer text, value jsonb, depth integer)
language sql immutable as $$
  with recursive walk as (
    select '' as pointer, payload as value, 1 as depth
    union all
    select w.pointer || '/' || c.token, c.value, w.depth + 1
    from walk w cross join lateral (
      select reveille.pointer_token(o.key) as token, o.value
      from jsonb_each(case jsonb_typeof(w.value) when 'object' then w.value else '{}' end) o
      union all
      select (a.nth - 1)::text, a.value
      from jsonb_array_elements(case jsonb_typeof(w.value) when 'array' then w.value else '[]' end) with ordinality a (value, nth)
    ) c
    where w.depth <= 64 and jsonb_typeof(c.value) in ('object', 'array', 'number')
  )
  select * from walk
$$;

-- What `jsonb` takes and a payload may not have. Small payloads cannot have it, and the two looks at the others are linear
-- (15 ms for the digits of a megabyte); the walk that finds the place is only taken when there may be one. The other doors see how a number is written, and refuse
-- exponents above 400; here only its value is left, and one of more than 1400 digits is refused.
create function reveille.payload_fault(payload jsonb) returns table (pointer text, code text, message text)
language plpgsql immutable as $$
declare
  written text := payload::text;
begin
  if octet_length(written) < 130 then return; end if;
  if pg_column_size(payload) > 250
    and jsonb_path_exists(payload, 'strict $.**{64 to last} ? (@.type() == "object" || @.type() == "array")')
  then
    return query select w.pointer, 'too_deep', 'a payload may nest 64 levels'
      from reveille.payload_walk(payload) w where w.depth = 65 and jsonb_typeof(w.value) <> 'number' limit 1;
  elsif octet_length(written) > 1400 and written ~ '[0-9.]{250}' then
    return query select w.pointer, 'number_out_of_range', 'a number may have 1400 digits; submit it as a string'
      from reveille.payload_walk(payload) w where jsonb_typeof(w.value) = 'number' and length(w.value::text) > 1400 limit 1;
  end if;
end $$;

-- Null where the text is no moment (RFC 3339) that exists.
create or replace function reveille.moment(value text) returns timestamptz
language plpgsql immutable as $$
declare
  part text[] := regexp_match(value,
    '^(\d{4}-\d{2}-\d{2})[Tt ]((?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?)(?:[Zz]|([+-])((?:[01]\d|2[0-3]):[0-5]\d))$');
begin
  return (part[1] || ' ' || part[2])::timestamp at time zone 'UTC'
    - (coalesce(part[3], '+') || coalesce(part[4], '00:00'))::interval;
exception when datetime_field_overflow or invalid_datetime_format then
  return null;
end $$;

-- The rule book of a submission, one row for each fault: the codes and the places are those of the HTTP API.
create or replace function reveille.job_faults(job jsonb) returns table (pointer text, code text, message text)
language sql stable as $$
  select '', 'wrong_type', 'a job is a JSON object' where jsonb_typeof(job) <> 'object'
  union all
  select f.* from (
    select '/' || reveille.pointer_token(left(k, 64)), 'unknown_field',
      'there is no such field; there are payload, task, queue, priority, run_at, delay_seconds, max_attempts, timeout_seconds, tags, unique_key and on_conflict'
    from jsonb_object_keys(job) k
    where k not in ('payload', 'task', 'queue', 'priority', 'run_at', 'delay_seconds', 'max_attempts', 'timeout_seconds',
      'tags', 'unique_key', 'on_conflict')
    union all
    select '/payload', 'required', 'a job needs a payload; it may be null' where not job ? 'payload'
    union all
    select '/payload' || p.pointer, p.code, p.message from reveille.payload_fault(job -> 'payload') p
    union all
    select '/payload', 'too_large', 'a payload may have 1 MiB'
      where pg_column_size(job -> 'payload') > 170000 and octet_length((job -> 'payload')::text) > 1048576
    union all
    select '/' || t.name, 'wrong_type', t.name || ' must be ' || t.wanted
      from (values ('task', 'string', 'a string'), ('queue', 'string', 'a string'), ('priority', 'number', 'an integer'),
        ('run_at', 'string', 'a string'), ('delay_seconds', 'number', 'a number'), ('max_attempts', 'number', 'an integer'),
        ('timeout_seconds', 'number', 'a number'), ('tags', 'array', 'an array of strings'),
        ('unique_key', 'string', 'a string'), ('on_conflict', 'string', 'a string')) t (name, type, wanted)
      where job ? t.name and jsonb_typeof(job -> t.name) not in (t.type, 'null')
        or t.wanted = 'an integer' and jsonb_typeof(job -> t.name) = 'number' and (job ->> t.name)::numeric % 1 <> 0
    union all
    select '/task', 'invalid_name', 'a task is 1 to 100 of a-z A-Z 0-9 _ - . :'
      where jsonb_typeof(job -> 'task') = 'string' and job ->> 'task' !~ '^[a-zA-Z0-9_.:-]{1,100}$'
    union all
    select '/queue', 'invalid_name', 'a queue is 1 to 64 of a-z 0-9 _ - .'
      where jsonb_typeof(job -> 'queue') = 'string' and job ->> 'queue' !~ '^[a-z0-9_.-]{1,64}$'
    union all
    select '/' || r.name, 'out_of_range', r.name || ' must be ' || r.range
      from (values ('priority', 0, 9, 'from 0 (first) to 9'), ('delay_seconds', 0, 315360000, 'from 0 to 315360000 (ten years)'),
        ('max_attempts', 1, 1000, 'from 1 to 1000'), ('timeout_seconds', 0.001, 604800, 'from 0.001 to 604800 (seven days)')) r (name, least, most, range)
      where jsonb_typeof(job -> r.name) = 'number' and not (job ->> r.name)::numeric between r.least and r.most
    union all
    select '/run_at', 'invalid_timestamp', 'run_at must be a time by RFC 3339, such as 2026-11-24T08:00:00Z'
      where jsonb_typeof(job -> 'run_at') = 'string' and reveille.moment(job ->> 'run_at') is null
    union all
    select '/run_at', 'out_of_range', 'run_at must lie between the year 1970 and ten years from now'
      where jsonb_typeof(job -> 'run_at') = 'string'
        and not reveille.moment(job ->> 'run_at') between '1970-01-01 00:00:00+00' and now() + interval '315360000 seconds'
    union all
    select '/delay_seconds', 'conflicting_fields', 'give run_at or delay_seconds, not both'
      where jsonb_typeof(job -> 'run_at') <> 'null' and jsonb_typeof(job -> 'delay_seconds') <> 'null'
    union all
    select '/tags', 'too_many', 'a job has at most 20 tags'
      where jsonb_typeof(job -> 'tags') = 'array' and jsonb_array_length(job -> 'tags') > 20
    union all
    select '/tags/' || t.nth - 1, case jsonb_typeof(t.tag) when 'string' then 'invalid_length' else 'wrong_type' end,
      'a tag is a string of 1 to 64 characters'
      from jsonb_array_elements(case jsonb_typeof(job -> 'tags') when 'array' then job -> 'tags' else '[]' end) with ordinality t (tag, nth)
      where jsonb_typeof(t.tag) <> 'string' or not length(t.tag #>> '{}') between 1 and 64
    union all
    select '/unique_key', 'invalid_length', 'a unique key has 1 to 255 characters'
      where jsonb_typeof(job -> 'unique_key') = 'string' and not length(job ->> 'unique_key') between 1 and 255
    union all
    select '/on_conflict', 'invalid_value', 'on_conflict is keep, reject or replace'
      where jsonb_typeof(job -> 'on_conflict') = 'string' and job ->> 'on_conflict' not in ('keep', 'reject', 'replace')
    union all
    select '/on_conflict', 'requires_unique_key', 'on_conflict says what to do about a unique_key; give one, or leave it out'
      where jsonb_typeof(job -> 'on_conflict') <> 'null' and coalesce(jsonb_typeof(job -> 'unique_key'), 'null') = 'null'
  ) f
  where jsonb_typeof(job) = 'object'
$$;

-- Submits a list of jobs, all or none: objects with the fields of `submit`. Answers in their order.
create or replace function reveille.submit_many(jobs jsonb) returns table (job_id uuid, status text, outcome text)
language plpgsql volatile security definer set search_path = reveille, pg_temp as $$
begin
  if jsonb_typeof(jobs) is distinct from 'array' then
    raise exception using errcode = 'invalid_parameter_value', message = 'submit_many takes a JSON array of jobs',
      detail = '[{"pointer": "", "code": "wrong_type", "message": "expected an array of jobs"}]',
      hint = 'Put the jobs into an array, also a single one.';
  end if;
  if jsonb_array_length(jobs) not between 1 and 10000 then
    raise exception using errcode = 'invalid_parameter_value', message = 'submit_many takes a JSON array of 1 to 10000 jobs',
      detail = '[{"pointer": "", "code": "batch_size", "message": "a batch is a JSON array of 1 to 10000 jobs"}]',
      hint = 'Split a longer list into several calls.';
  end if;
  return query select s.job_id, s.status, s.outcome from reveille.submit_checked(jobs, true) s order by s.nth;
end $$;

revoke all on all functions in schema reveille from public;
