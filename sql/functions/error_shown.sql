-- Older services wrote errors of any length, and a job may have had a thousand attempts. The cut is
-- made when an error is read, so that no page of them fills the memory.
create or replace function reveille.error_shown(error jsonb) returns jsonb
language sql immutable parallel safe as $$
  select case
    when octet_length(error ->> 'message') > 8192 then
      error || jsonb_build_object('message', left(error ->> 'message', 2000) || '… ('
        || octet_length(error ->> 'message') - octet_length(left(error ->> 'message', 2000))
        || ' bytes cut)')
    else error
  end
$$;

comment on function reveille.error_shown is 'The error with its message cut to 8 KiB.';
revoke all on function reveille.error_shown from public;
