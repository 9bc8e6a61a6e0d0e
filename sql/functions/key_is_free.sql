-- The window of a key outlives its job, unless that failed or was cancelled. A job that is gone
-- completed: a deletion takes the key along, and so does the pruner for a job that did not complete.
create or replace function reveille.key_is_free(id uuid, until timestamptz) returns boolean
language plpgsql stable as $$
begin
  if until > clock_timestamp() then
    return exists (select from reveille.outcome o where o.id = $1 and o.state <> 'completed');
  end if;
  return reveille.has_ended(id);
end $$;

comment on function reveille.key_is_free is
  'Whether a unique key that this job holds until then may be taken by another one.';
revoke all on function reveille.key_is_free from public;
