create or replace function reveille.text_is_sound(value jsonb) returns boolean
language sql immutable parallel safe as $$
  select case jsonb_typeof(value)
    when 'string' then true
    when 'null' then true
    else value is null
  end
$$;

comment on function reveille.text_is_sound is 'Whether a value is absent, null, or a string.';
revoke all on function reveille.text_is_sound from public;
