create or replace function reveille.integer_is_sound(value jsonb, low numeric, high numeric)
returns boolean
language sql immutable parallel safe as $$
  select case jsonb_typeof(value)
    when 'number' then value::numeric between low and high and value::numeric % 1 = 0
    when 'null' then true
    else value is null
  end
$$;

comment on function reveille.integer_is_sound is
  'Whether a value is absent, null, or an integer between two others.';
revoke all on function reveille.integer_is_sound from public;
