-- A job that gets its turn moves from `keyed` to `ready`, and one that lets others pass moves back. So
-- a patient caller looks for it in that order, each time in a new statement.
create or replace function reveille.waiting_lock(ids uuid[], patient boolean) returns uuid[]
language plpgsql as $$
declare
  here uuid[];
  there uuid[];
begin
  if not patient then
    select array_agg(k.id) into here from (
      select x.id from reveille.keyed x where x.id = any (ids) order by x.id for update skip locked
    ) k;
    select array_agg(r.id) into there from (
      select x.id from reveille.ready x where x.id = any (ids) order by x.id for update skip locked
    ) r;
    return coalesce(here || there, '{}');
  end if;
  for nth in 1..2 loop
    select array_agg(k.id) into here from (
      select x.id from reveille.keyed x where x.id = any (ids) order by x.id for update
    ) k;
    select array_agg(r.id) into there from (
      select x.id from reveille.ready x where x.id = any (ids) order by x.id for update
    ) r;
    exit when cardinality(coalesce(here || there, '{}')) = cardinality(ids)
      or not exists (select from reveille.gate);
  end loop;
  return coalesce(here || there, '{}');
end $$;

comment on function reveille.waiting_lock is
  'Locks those of these jobs that wait, wherever they lie, and returns them. A caller who is not patient '
  'passes by what others have locked.';
revoke all on function reveille.waiting_lock from public;
