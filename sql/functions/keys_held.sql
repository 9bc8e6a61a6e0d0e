-- Nothing stays locked or written: an exception lets go of each key at once.
create or replace function reveille.keys_held(queues text[], keys text[]) returns setof bigint
language plpgsql as $$
declare
  item record;
begin
  -- The least that there is, for the rest of this transaction.
  perform set_config('lock_timeout', '1ms', true);
  for item in
    select u.queue, u.key, u.nth
    from unnest(queues, keys) with ordinality u (queue, key, nth)
    order by u.queue, u.key
  loop
    begin
      insert into reveille.unique_key as k (queue, key, id)
        values (item.queue, item.key, gen_random_uuid())
        on conflict (queue, key) do update set id = k.id where false;
      raise exception using errcode = 'RV001';
    exception
      when lock_not_available then return next item.nth;
      when sqlstate 'RV001' then null;
    end;
  end loop;
end $$;

comment on function reveille.keys_held is
  'The places, from 1, of the unique keys that others have locked.';
revoke all on function reveille.keys_held from public;
