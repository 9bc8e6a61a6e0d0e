create or replace function reveille.has_ended(id uuid) returns boolean
language plpgsql stable as $$
begin
  return exists (select from reveille.outcome o where o.id = $1)
    or not exists (select from reveille.job j where j.id = $1);
end $$;

comment on function reveille.has_ended is 'Whether a job has ended or is gone.';
revoke all on function reveille.has_ended from public;
