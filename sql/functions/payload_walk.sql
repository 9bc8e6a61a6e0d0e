create or replace function reveille.payload_walk(payload jsonb)
returns table (pointer text, value jsonb, depth integer)
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
      from jsonb_array_elements(case jsonb_typeof(w.value) when 'array' then w.value else '[]' end)
        with ordinality a (value, nth)
    ) c
    where w.depth <= 64 and jsonb_typeof(c.value) in ('object', 'array', 'number')
  )
  select * from walk
$$;

comment on function reveille.payload_walk is
  'The numbers and containers of a payload, down to 65 levels, each with its JSON pointer.';
revoke all on function reveille.payload_walk from public;
