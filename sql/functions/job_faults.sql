-- The codes and the places are those of the HTTP API, and so are the bounds: of unknown fields the
-- first 50 are told, and of tags only as many as a job may have are looked at.
create or replace function reveille.job_faults(job jsonb)
returns table (pointer text, code text, message text)
language sql stable as $$
  select '', 'wrong_type', 'a job is a JSON object' where jsonb_typeof(job) <> 'object'
  union all
  select f.* from (
    select case when u.nth <= 50 then '/' || reveille.pointer_token(left(u.name, 64)) else '' end,
      'unknown_field', case
        when u.nth <= 50 then 'there is no such field; there are payload, task, queue, priority, '
          'run_at, delay_seconds, max_attempts, timeout_seconds, tags, unique_key and on_conflict'
        else u.many - 50 || ' more unknown fields'
      end
    from (
      select k.name, row_number() over () as nth, count(*) over () as many
      from jsonb_object_keys(job) k (name)
      where k.name not in ('payload', 'task', 'queue', 'priority', 'run_at', 'delay_seconds',
        'max_attempts', 'timeout_seconds', 'tags', 'unique_key', 'on_conflict')
    ) u
    where u.nth <= 51
    union all
    select '/payload', 'required', 'a job needs a payload; it may be null' where not job ? 'payload'
    union all
    select '/payload' || p.pointer, p.code, p.message
      from reveille.payload_fault(job -> 'payload') p
    union all
    select '/' || t.name, 'wrong_type', t.name || ' must be ' || t.wanted
      from (values ('task', 'string', 'a string'), ('queue', 'string', 'a string'),
        ('priority', 'number', 'an integer'), ('run_at', 'string', 'a string'),
        ('delay_seconds', 'number', 'a number'), ('max_attempts', 'number', 'an integer'),
        ('timeout_seconds', 'number', 'a number'), ('tags', 'array', 'an array of strings'),
        ('unique_key', 'string', 'a string'), ('on_conflict', 'string', 'a string'))
        t (name, type, wanted)
      where job ? t.name and jsonb_typeof(job -> t.name) not in (t.type, 'null')
        or t.wanted = 'an integer' and jsonb_typeof(job -> t.name) = 'number'
          and (job ->> t.name)::numeric % 1 <> 0
    union all
    select '/task', 'invalid_name', 'a task is 1 to 100 of a-z A-Z 0-9 _ - . :'
      where jsonb_typeof(job -> 'task') = 'string' and job ->> 'task' !~ '^[a-zA-Z0-9_.:-]{1,100}$'
    union all
    select '/queue', 'invalid_name', 'a queue is 1 to 64 of a-z 0-9 _ - .'
      where jsonb_typeof(job -> 'queue') = 'string' and job ->> 'queue' !~ '^[a-z0-9_.-]{1,64}$'
    union all
    select '/' || r.name, 'out_of_range', r.name || ' must be ' || r.range
      from (values ('priority', true, 0, 9, 'from 0 (first) to 9'),
        ('delay_seconds', false, 0, 315360000, 'from 0 to 315360000 (ten years)'),
        ('max_attempts', true, 1, 1000, 'from 1 to 1000'),
        ('timeout_seconds', false, 0.001, 604800, 'from 0.001 to 604800 (seven days)'))
        r (name, whole, least, most, range)
      where jsonb_typeof(job -> r.name) = 'number' and case
        when r.whole then (job ->> r.name)::numeric % 1 = 0
          and not (job ->> r.name)::numeric between r.least and r.most
        else not reveille.number_is_sound(job -> r.name, r.least, r.most)
      end
    union all
    select '/run_at', 'invalid_timestamp',
      'run_at must be a time by RFC 3339, such as 2026-11-24T08:00:00Z'
      where jsonb_typeof(job -> 'run_at') = 'string' and reveille.moment(job ->> 'run_at') is null
    union all
    select '/run_at', 'out_of_range', 'run_at must lie between the year 1970 and ten years from now'
      where jsonb_typeof(job -> 'run_at') = 'string'
        and not reveille.moment(job ->> 'run_at') between '1970-01-01 00:00:00+00'
          and now() + interval '315360000 seconds'
    union all
    select '/delay_seconds', 'conflicting_fields', 'give run_at or delay_seconds, not both'
      where jsonb_typeof(job -> 'run_at') <> 'null'
        and jsonb_typeof(job -> 'delay_seconds') <> 'null'
    union all
    select '/tags', 'too_many', 'a job has at most 20 tags'
      where jsonb_typeof(job -> 'tags') = 'array' and jsonb_array_length(job -> 'tags') > 20
    union all
    select '/tags/' || n,
      case jsonb_typeof(job -> 'tags' -> n) when 'string' then 'invalid_length'
        else 'wrong_type' end,
      'a tag is a string of 1 to 64 characters'
      from generate_series(0, 19) n
      where jsonb_typeof(job -> 'tags') = 'array'
        and (jsonb_typeof(job -> 'tags' -> n) <> 'string'
          or not length(job -> 'tags' ->> n) between 1 and 64)
    union all
    select '/unique_key', 'invalid_length', 'a unique key has 1 to 255 characters'
      where jsonb_typeof(job -> 'unique_key') = 'string'
        and not length(job ->> 'unique_key') between 1 and 255
    union all
    select '/on_conflict', 'invalid_value', 'on_conflict is keep, reject or replace'
      where jsonb_typeof(job -> 'on_conflict') = 'string'
        and job ->> 'on_conflict' not in ('keep', 'reject', 'replace')
    union all
    select '/on_conflict', 'requires_unique_key',
      'on_conflict says what to do about a unique_key; give one, or leave it out'
      where jsonb_typeof(job -> 'on_conflict') <> 'null'
        and coalesce(jsonb_typeof(job -> 'unique_key'), 'null') = 'null'
  ) f
  where jsonb_typeof(job) = 'object'
$$;

comment on function reveille.job_faults is
  'The rule book of a submission: one row for each fault of a job.';
revoke all on function reveille.job_faults from public;
