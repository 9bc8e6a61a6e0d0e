create or replace function reveille.key_free(ids uuid[]) returns setof uuid
language plpgsql as $$
declare
  locked uuid[];
begin
  select array_agg(l.id) into locked from (
    select k.id from reveille.unique_key k where k.id = any (ids) order by k.queue, k.key
      for update skip locked
  ) l;
  delete from reveille.unique_key k where k.id = any (locked) and reveille.key_is_free(k.id, k.until);
  delete from reveille.superseded s where s.id = any (array(
    select x.id from reveille.superseded x where x.id = any (ids) and reveille.has_ended(x.id)
      for update skip locked));
  return query select k.id from reveille.unique_key k
    where k.id = any (ids) and not coalesce(k.id = any (locked), false)
      and reveille.key_is_free(k.id, k.until);
end $$;

comment on function reveille.key_free is
  'Frees the unique keys of jobs that have ended, without waiting. Returns those that are locked. A '
  'key whose window goes on is left alone.';
revoke all on function reveille.key_free from public;
