-- Six digits of the fraction count, and second 60 is the first of the next minute, as at the other
-- doors. STRICT spares a job without a time the subtransaction of the exception block.
create or replace function reveille.moment(value text) returns timestamptz
language plpgsql immutable strict as $$
declare
  part text[] := regexp_match(value,
    '^([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]((?:[01][0-9]|2[0-3]):[0-5][0-9]):([0-5][0-9]|60)'
    '(?:([.][0-9]{1,6})[0-9]*)?(?:[Zz]|([+-])((?:[01][0-9]|2[0-3]):[0-5][0-9]))$');
begin
  return (part[1] || ' ' || part[2])::timestamp at time zone 'UTC'
    + make_interval(secs => (part[3] || coalesce(part[4], ''))::double precision)
    - (coalesce(part[5], '+') || coalesce(part[6], '00:00'))::interval;
exception when datetime_field_overflow or invalid_datetime_format then
  return null;
end $$;

comment on function reveille.moment is 'A time by RFC 3339; null if the text is not one.';
revoke all on function reveille.moment from public;
