-- The codes and the places are those of the HTTP API.
create or replace function reveille.job_faults(job jsonb)
returns table (pointer text, code text, message text)
language sql stable as $$
  with field as materialized (
    select f.*, p.path, job #> p.path as value, job #>> p.path as text,
      coalesce(jsonb_typeof(job #> p.path), 'null') as type
    from reveille.submission_fields() f
    cross join lateral (select string_to_array(f.name, '/') as path) p
  ), object as (
    select '{}'::text[] as path, '' as pointer, job as value
    union all
    select f.path, '/' || f.name, f.value from field f where f.kind = 'object'
  ), strange as materialized (
    select o.path, o.pointer, k as name, row_number() over (partition by o.pointer) as nth,
      count(*) over (partition by o.pointer) as many
    from object o cross join lateral
      jsonb_object_keys(case jsonb_typeof(o.value) when 'object' then o.value else '{}' end) k
    where not exists (select from field f where f.path = o.path || k)
  )
  select '', 'wrong_type', 'a job is a JSON object' where jsonb_typeof(job) <> 'object'
  union all
  select f.* from (
    select s.pointer || '/' || reveille.pointer_token(left(s.name, 64)), 'unknown_field',
      'there is no such field; there are ' || (
        select string_agg(f.path[cardinality(f.path)], ', ') from field f
        where trim_array(f.path, 1) = s.path
      )
    from strange s where s.nth <= 50
    union all
    select s.pointer, 'unknown_field', s.many - 50 || ' more unknown fields'
    from strange s where s.nth = 51
    union all
    select '/payload', 'required', 'a job needs a payload; it may be null' where not job ? 'payload'
    union all
    select '/payload' || p.pointer, p.code, p.message
    from reveille.payload_fault(job -> 'payload') p
    union all
    select '/' || f.name, c.code, replace(f.name, '/', '.') || ' must be ' || f.rule
    from field f cross join lateral (
      select case
        when f.type = 'null' or f.kind = 'json' then null
        when f.type <> case
          when f.kind in ('integer', 'number') then 'number'
          when f.kind = 'list' then 'array'
          when f.kind = 'object' then 'object'
          else 'string'
        end then 'wrong_type'
        when f.kind = 'name' then case when f.text !~ f.words[1] then 'invalid_name' end
        when f.kind = 'choice' then case when f.text <> all (f.words) then 'invalid_value' end
        when f.kind = 'text' then
          case when not length(f.text) between f.low and f.high then 'invalid_length' end
        when f.kind = 'integer' then case
          when f.text::numeric % 1 <> 0 then 'wrong_type'
          when not f.text::numeric between f.low and f.high then 'out_of_range'
        end
        when f.kind = 'number' then
          case when not reveille.number_is_sound(f.value, f.low, f.high) then 'out_of_range' end
        when f.kind = 'time' then
          case when reveille.moment(f.text) is null then 'invalid_timestamp' end
        when f.kind = 'list' then
          case when jsonb_array_length(f.value) > f.high then 'too_many' end
      end as code
    ) c
    where c.code is not null
    union all
    -- A longer list is wrong as a whole, and only its first items are looked at.
    select '/' || f.name || '/' || n.nth,
      case jsonb_typeof(f.value -> n.nth) when 'string' then 'invalid_length' else 'wrong_type' end,
      'each of ' || f.name || ' must be a string of 1 to ' || f.longest || ' characters'
    from field f cross join lateral generate_series(0, f.high::integer - 1) n (nth)
    where f.kind = 'list' and f.type = 'array' and n.nth < jsonb_array_length(f.value)
      and (jsonb_typeof(f.value -> n.nth) <> 'string'
        or not length(f.value ->> n.nth) between 1 and f.longest)
    union all
    select '/run_at', 'out_of_range', 'run_at must lie between the year 1970 and ten years from now'
    where jsonb_typeof(job -> 'run_at') = 'string'
      and not reveille.moment(job ->> 'run_at') between '1970-01-01 00:00:00+00'
        and now() + interval '315360000 seconds'
    union all
    select '/' || f.name, 'out_of_range',
      'retry.max_seconds must not be less than retry.base_seconds'
    from field f join field b on b.name = 'retry/base_seconds'
    where f.name = 'retry/max_seconds' and f.type = 'number' and b.type = 'number'
      and case
        when reveille.number_is_sound(f.value, f.low, f.high)
          and reveille.number_is_sound(b.value, b.low, b.high)
        then round(f.text::numeric, 40)::double precision
          < round(b.text::numeric, 40)::double precision
      end
    union all
    select '/' || f.name, 'conflicting_fields',
      'retry.factor goes with the strategy exponential only'
    from field f join field s on s.name = 'retry/strategy'
    where f.name = 'retry/factor' and f.type = 'number' and s.text in ('linear', 'fixed')
      and reveille.number_is_sound(f.value, f.low, f.high)
    union all
    select '/' || f.name, 'out_of_range',
      'deadline_seconds must not be less than timeout_seconds; raise it, or lower the other'
    from field f join field t on t.name = 'timeout_seconds'
    where f.name = 'deadline_seconds' and f.type = 'number' and t.type = 'number'
      and case
        when reveille.number_is_sound(f.value, f.low, f.high)
          and reveille.number_is_sound(t.value, t.low, t.high)
        then round(f.text::numeric, 40)::double precision
          < round(t.text::numeric, 40)::double precision
      end
    union all
    select '/' || f.name, 'out_of_range', f.name || ' lies beyond ' || l.name
      || ', so the job would end before it starts; raise that, or let the job start earlier'
    from field f cross join lateral (
      select b.name, round(b.text::numeric, 40)::double precision as seconds from field b
      where b.name in ('queue_ttl_seconds', 'deadline_seconds')
        and case when b.type = 'number' then reveille.number_is_sound(b.value, b.low, b.high) end
      order by 2, b.name desc limit 1
    ) l
    where f.name = 'run_at' and f.type = 'string'
        and reveille.moment(f.text) > now() + l.seconds * interval '1 second'
        and reveille.moment(f.text) <= now() + interval '315360000 seconds'
      or f.name = 'delay_seconds' and f.type = 'number'
        and case when jsonb_typeof(job -> 'run_at') = 'string'
          then reveille.moment(job ->> 'run_at') end is null
        and case when reveille.number_is_sound(f.value, f.low, f.high)
          then round(f.text::numeric, 40)::double precision > l.seconds end
    union all
    select '/' || f.name, 'conflicting_fields', 'give ' || o.name || ' or ' || f.name || ', not both'
    from field f join field o on o.name = f.apart
    where f.type <> 'null' and o.type <> 'null'
    union all
    select '/' || f.name, 'requires_' || coalesce(w.word, o.name),
      f.name || ' needs ' || case when w.word is null then 'a ' || o.name
        else o.name || ' to be ' || w.word end || '; give both, or neither'
    from field f
    cross join lateral (
      select split_part(f.beside, '=', 1) as name, nullif(split_part(f.beside, '=', 2), '') as word
    ) w
    join field o on o.name = w.name
    where f.type <> 'null' and (o.type = 'null' or o.text <> w.word)
  ) f
  where jsonb_typeof(job) = 'object'
$$;

comment on function reveille.job_faults is
  'The rule book of a submission: one row for each fault of a job.';
revoke all on function reveille.job_faults from public;
