-- An exception lets go of a key that another transaction has locked, so none is waited for.
create or replace function reveille.keys_taken(ids uuid[])
returns table (id uuid, holder uuid)
language plpgsql
set lock_timeout = '1ms' as $$
declare
  item record;
begin
  for item in
    select j.id, j.queue, j.unique_key as key from unnest(ids) u (id)
    cross join lateral (
      select * from reveille.job x where x.id = u.id and x.unique_key is not null limit 1
    ) j
    order by j.queue, j.unique_key, j.id
  loop
    id := item.id;
    begin
      holder := reveille.key_take(item.queue, item.key, item.id);
    exception
      when lock_not_available then holder := null;
    end;
    return next;
  end loop;
end $$;

comment on function reveille.keys_taken is
  'Takes the unique keys of jobs. Returns the holder of each; null if another transaction has '
  'locked the key.';
revoke all on function reveille.keys_taken from public;
