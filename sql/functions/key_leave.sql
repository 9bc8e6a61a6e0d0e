-- The newest job that it superseded takes the key back, if that job has not ended.
create or replace function reveille.key_leave(id uuid) returns void
language plpgsql as $$
#variable_conflict use_column
declare
  heir uuid;
begin
  perform from reveille.unique_key k where k.id = $1 for update;
  if not found then return; end if;
  select s.id into heir from reveille.superseded s
    where s.replacement = $1 and not reveille.has_ended(s.id) order by s.id desc limit 1;
  if heir is null then
    delete from reveille.unique_key k where k.id = $1;
    return;
  end if;
  update reveille.unique_key k
    set id = heir, until = reveille.key_window(heir), first_at = null where k.id = $1;
  delete from reveille.superseded s where s.id = heir;
  update reveille.superseded s set replacement = heir where s.replacement = $1;
end $$;

comment on function reveille.key_leave is 'Makes a job that waited let go of its unique key.';
revoke all on function reveille.key_leave from public;
