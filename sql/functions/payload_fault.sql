-- Small payloads cannot have a fault, and the looks at the others are linear (15 ms for the digits
-- of a megabyte). The walk that finds the place is only taken when there may be one.
create or replace function reveille.payload_fault(payload jsonb)
returns table (pointer text, code text, message text)
language plpgsql immutable as $$
declare
  written text := payload::text;
begin
  if octet_length(written) < 130 then return; end if;
  if reveille.written_bytes(written) > 1048576 then
    return query select '', 'too_large',
      'a payload may have 1 MiB, without blanks and with numbers written without exponents';
    return;
  end if;
  if pg_column_size(payload) > 250
    and jsonb_path_exists(payload,
      'strict $.**{64 to last} ? (@.type() == "object" || @.type() == "array")')
  then
    return query select w.pointer, 'too_deep', 'a payload may nest 64 levels'
      from reveille.payload_walk(payload) w
      where w.depth = 65 and jsonb_typeof(w.value) <> 'number' limit 1;
  elsif octet_length(written) > 1400 and written ~ '[0-9.]{250}' then
    return query select w.pointer, 'number_out_of_range',
      'a number may have 1400 digits; submit it as a string'
      from reveille.payload_walk(payload) w
      where jsonb_typeof(w.value) = 'number' and length(w.value::text) > 1400 limit 1;
  end if;
end $$;

comment on function reveille.payload_fault is
  'The fault of a payload that jsonb takes and Reveille does not, if there is one.';
revoke all on function reveille.payload_fault from public;
