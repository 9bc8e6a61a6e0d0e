-- The message of an error has 8 KiB since this release. What older services wrote, and still may, is cut when it is read: a job
-- with a thousand attempts may have had a thousand errors of megabytes.
create function reveille.error_shown(error jsonb) returns jsonb
language sql immutable parallel safe as $$
  select case when octet_length(error ->> 'message') > 8192 then error || jsonb_build_object('message',
    left(error ->> 'message', 2000) || '… (' || octet_length(error ->> 'message') - octet_length(left(error ->> 'message', 2000))
      || ' bytes cut)') else error end
$$;
revoke all on function reveille.error_shown(jsonb) from public;
