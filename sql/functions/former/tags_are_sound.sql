-- Calls of the release before may still be under way; the next release drops it.
create or replace function reveille.tags_are_sound(value jsonb) returns boolean
language sql immutable parallel safe as $$
  select case jsonb_typeof(value)
    when 'array' then jsonb_array_length(value) <= 20 and not value ? ''
      and not jsonb_path_exists(value, 'strict $[*] ? (@.type() <> "string")')
      and (octet_length(value::text) <= 66
        or not jsonb_path_exists(value, 'strict $[*] ? (@ like_regex ".{65}" flag "s")'))
    when 'null' then true
    else value is null
  end
$$;

comment on function reveille.tags_are_sound is
  'Whether a value is absent, null, or an array of tags.';
revoke all on function reveille.tags_are_sound from public;
