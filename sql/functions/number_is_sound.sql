-- The other doors read a number as a double. So a number that a double cannot tell from a bound is
-- within. A number above zero that is too small for a double is 0.
create or replace function reveille.number_is_sound(value jsonb, low numeric, high numeric)
returns boolean
language sql immutable parallel safe as $$
  select case jsonb_typeof(value)
    when 'number' then case
      when value::numeric between 0 and 1e15 then
        round(value::numeric, 40)::double precision
          between low::double precision and high::double precision
      else false
    end
    when 'null' then true
    else value is null
  end
$$;

comment on function reveille.number_is_sound is
  'Whether a value is absent, null, or a number between two others.';
revoke all on function reveille.number_is_sound from public;
