create or replace function reveille.has_begun(id uuid, since timestamptz) returns boolean
language plpgsql stable as $$
begin
  return exists (select from reveille.attempt a where a.id = $1 and a.claimed_at >= $2);
end $$;

comment on function reveille.has_begun is
  'Whether an attempt of a job that waits has begun since then. A lost one counts as begun.';
revoke all on function reveille.has_begun from public;
