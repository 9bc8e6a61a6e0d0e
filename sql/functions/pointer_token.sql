create or replace function reveille.pointer_token(name text) returns text
language sql immutable parallel safe as $$
  select replace(replace(name, '~', '~0'), '/', '~1')
$$;

comment on function reveille.pointer_token is 'A name as a token of a JSON pointer (RFC 6901).';
revoke all on function reveille.pointer_token from public;
