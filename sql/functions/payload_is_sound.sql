create or replace function reveille.payload_is_sound(payload jsonb) returns boolean
language sql stable parallel safe as $$
  select octet_length(payload::text) < 130
    or (octet_length(payload::text) <= 1400
        or octet_length(payload::text) <= 1048576 and payload::text !~ '[0-9.]{250}')
      and (pg_column_size(payload) <= 250
        or not jsonb_path_exists(payload,
          'strict $.**{64 to last} ? (@.type() == "object" || @.type() == "array")'))
$$;

comment on function reveille.payload_is_sound is 'Whether payload_fault finds nothing for certain.';
revoke all on function reveille.payload_is_sound from public;
