create or replace function reveille.key_take(queue text, key text, id uuid) returns uuid
language plpgsql as $$
#variable_conflict use_column
declare
  holder uuid;
begin
  insert into reveille.unique_key as k (queue, key, id) values ($1, $2, $3)
    on conflict (queue, key) do update set id = k.id
    returning k.id into holder;
  if holder <> $3 and reveille.has_ended(holder) then
    update reveille.unique_key k set id = $3 where k.queue = $1 and k.key = $2;
    holder := $3;
  end if;
  return holder;
end $$;

comment on function reveille.key_take is
  'Takes a unique key for a job unless a job that has not ended holds it. Returns the holder.';
revoke all on function reveille.key_take from public;
