-- What counts is how long a value is when it is written out: `[1e400, …]` of a megabyte is packed small, and every reader of the
-- job had to take 68 times that. And the SQL door reads numbers and times as the others do. Strings here have no backslashes
-- (but in E''), so that standard_conforming_strings changes nothing.

-- The bytes of a value, given as the text of its jsonb, without the blanks that jsonb writes after commas and colons. They are
-- less than a third of the text, so only one that is that near to the limit of a payload is searched for them (0.2 s for
-- half a million numbers or strings); of any other the whole text counts. Between quotes is what is no blank of jsonb's:
-- every second piece, once escaped quotes are gone.
create function reveille.written_bytes(written text) returns integer
language sql immutable parallel safe as $$
  select octet_length(written) - case when octet_length(written) between 1048577 and 1572864 then (
    select sum(length(p.piece) - length(replace(p.piece, ' ', '')))::integer
    from unnest(string_to_array(replace(replace(written, E'\\\\', ''), E'\\"', ''), '"')) with ordinality p (piece, nth)
    where p.nth % 2 = 1
  ) else 0 end
$$;

revoke all on function reveille.written_bytes from public;

-- Whether nothing of what payload_fault finds can be in a payload.
create or replace function reveille.payload_is_sound(payload jsonb) returns boolean
language sql stable parallel safe as $$
  select octet_length(payload::text) < 130
    or (octet_length(payload::text) <= 1400 or octet_length(payload::text) <= 1048576 and payload::text !~ '[0-9.]{250}')
      and (pg_column_size(payload) <= 250
        or not jsonb_path_exists(payload, 'strict $.**{64 to last} ? (@.type() == "object" || @.type() == "array")'))
$$;

-- What `jsonb` takes and a payload may not have. Small payloads cannot have it, and the looks at the others are linear (15 ms for
-- the digits of a megabyte); the walk that finds the place is only taken when there may be one.
create or replace function reveille.payload_fault(payload jsonb) returns table (pointer text, code text, message text)
language plpgsql immutable as $$
declare
  written text := payload::text;
begin
  if octet_length(written) < 130 then return; end if;
  if reveille.written_bytes(written) > 1048576 then
    return query select '', 'too_large', 'a payload may have 1 MiB, without blanks and with numbers written without exponents';
    return;
  end if;
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

-- Whether a number lies between two others as a double does, which is what the other doors read it as: one that cannot be told
-- from a bound is within, and one that is too small for a double is 0, if it is not below.
create or replace function reveille.number_is_sound(value jsonb, low numeric, high numeric) returns boolean
language sql immutable parallel safe as $$
  select case jsonb_typeof(value)
    when 'number' then case when value::numeric between 0 and 1e15
      then round(value::numeric, 40)::double precision between low::double precision and high::double precision else false end
    when 'null' then true
    else value is null
  end
$$;

-- A time by RFC 3339: of its fraction six digits count, and second 60 is the first of the next minute. Null: it is not one.
create or replace function reveille.moment(value text) returns timestamptz
language plpgsql immutable strict as $$
declare
  part text[] := regexp_match(value,
    '^([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]((?:[01][0-9]|2[0-3]):[0-5][0-9]):([0-5][0-9]|60)(?:([.][0-9]{1,6})[0-9]*)?(?:[Zz]|([+-])((?:[01][0-9]|2[0-3]):[0-5][0-9]))$');
begin
  return (part[1] || ' ' || part[2])::timestamp at time zone 'UTC'
    + make_interval(secs => (part[3] || coalesce(part[4], ''))::double precision)
    - (coalesce(part[5], '+') || coalesce(part[6], '00:00'))::interval;
exception when datetime_field_overflow or invalid_datetime_format then
  return null;
end $$;

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
      from (values ('priority', true, 0, 9, 'from 0 (first) to 9'),
        ('delay_seconds', false, 0, 315360000, 'from 0 to 315360000 (ten years)'),
        ('max_attempts', true, 1, 1000, 'from 1 to 1000'),
        ('timeout_seconds', false, 0.001, 604800, 'from 0.001 to 604800 (seven days)')) r (name, whole, least, most, range)
      where jsonb_typeof(job -> r.name) = 'number'
        and case when r.whole then (job ->> r.name)::numeric % 1 = 0 and not (job ->> r.name)::numeric between r.least and r.most
          else not reveille.number_is_sound(job -> r.name, r.least, r.most) end
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
