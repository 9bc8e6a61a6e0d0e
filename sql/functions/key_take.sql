create or replace function reveille.key_take(queue text, key text, id uuid) returns uuid
language plpgsql as $$
#variable_conflict use_column
declare
  holder uuid;
  held_until timestamptz;
begin
  insert into reveille.unique_key as k (queue, key, id, until)
    values ($1, $2, $3, reveille.key_window($3))
    on conflict (queue, key) do update set id = k.id
    returning k.id, k.until into holder, held_until;
  if holder <> $3 and reveille.key_is_free(holder, held_until) then
    update reveille.unique_key k
      set id = $3, until = reveille.key_window($3), first_at = null
      where k.queue = $1 and k.key = $2;
    holder := $3;
  end if;
  return holder;
end $$;

comment on function reveille.key_take is
  'Takes a unique key for a job unless another one holds it, or its window goes on. Returns the '
  'holder. A job that holds the key already keeps its window.';
revoke all on function reveille.key_take from public;
