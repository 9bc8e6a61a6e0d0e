create or replace function reveille.texts_are_sound(value jsonb, most integer, longest integer)
returns boolean
language sql immutable parallel safe as $$
  select case jsonb_typeof(value)
    when 'array' then jsonb_array_length(value) <= most and not value ? ''
      and not jsonb_path_exists(value, 'strict $[*] ? (@.type() <> "string")')
      and (octet_length(value::text) <= longest + 2 or not jsonb_path_exists(value,
        ('strict $[*] ? (@ like_regex ".{' || longest + 1 || '}" flag "s")')::jsonpath))
    when 'null' then true
    else value is null
  end
$$;

comment on function reveille.texts_are_sound is
  'Whether a value is null, or a list of so many strings of 1 to so many characters.';
revoke all on function reveille.texts_are_sound from public;
