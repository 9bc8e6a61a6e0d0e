-- An exception lets go of a key that another transaction has locked, so none is waited for. A block
-- that can catch one is a subtransaction, and the server remembers 64 of those cheaply. So all keys
-- are taken in one block. Where a key is in the way, each half is tried by itself.
create or replace function reveille.keys_taken(ids uuid[])
returns table (id uuid, holder uuid)
language plpgsql
set lock_timeout = '1ms' as $$
declare
  taken uuid[];
  holders uuid[];
  half integer := cardinality(ids) / 2;
begin
  begin
    select array_agg(t.id), array_agg(t.holder) into taken, holders from (
      select k.id, reveille.key_take(k.queue, k.unique_key, k.id) as holder from (
        select j.id, j.queue, j.unique_key from unnest(ids) u (id)
        cross join lateral (
          select * from reveille.job x where x.id = u.id and x.unique_key is not null limit 1
        ) j
        order by j.queue, j.unique_key, j.id
      ) k
      offset 0
    ) t;
  exception
    when lock_not_available then
      if half = 0 then
        return query select ids[1], null::uuid;
      else
        return query select k.* from reveille.keys_taken(ids[:half]) k;
        return query select k.* from reveille.keys_taken(ids[half + 1:]) k;
      end if;
      return;
  end;
  return query select u.* from unnest(taken, holders) u (id, holder);
end $$;

comment on function reveille.keys_taken is
  'Takes the unique keys of jobs. Returns the holder of each; null if another transaction has '
  'locked the key.';
revoke all on function reveille.keys_taken from public;
