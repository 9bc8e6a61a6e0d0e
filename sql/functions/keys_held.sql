-- Nothing stays locked or written: an exception lets go of all keys at once. A block that can catch
-- one is a subtransaction, so all keys are tried in one. Where a key is in the way, each half is
-- tried by itself.
create or replace function reveille.keys_held(queues text[], keys text[]) returns setof bigint
language plpgsql as $$
declare
  half integer := cardinality(keys) / 2;
begin
  -- The least that there is, for the rest of this transaction.
  perform set_config('lock_timeout', '1ms', true);
  insert into reveille.unique_key as k (queue, key, id)
    select distinct on (u.queue, u.key) u.queue, u.key, gen_random_uuid()
    from unnest(queues, keys) u (queue, key)
    where u.key is not null
    order by u.queue, u.key
    on conflict (queue, key) do update set id = k.id where false;
  raise exception using errcode = 'RV001';
exception
  when sqlstate 'RV001' then null;
  when lock_not_available then
    if half = 0 then
      return next 1;
    else
      return query select h.nth from reveille.keys_held(queues[:half], keys[:half]) h (nth);
      return query select h.nth + half
        from reveille.keys_held(queues[half + 1:], keys[half + 1:]) h (nth);
    end if;
end $$;

comment on function reveille.keys_held is
  'The places, from 1, of the unique keys that others have locked.';
revoke all on function reveille.keys_held from public;
