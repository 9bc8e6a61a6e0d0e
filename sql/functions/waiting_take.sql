-- Nobody is waited for. A job that somebody holds stays where it is.
create or replace function reveille.waiting_take(ids uuid[])
returns table (id uuid, queue text, task text, attempt integer)
language plpgsql as $$
begin
  return query
    delete from reveille.ready r
    where r.id = any (array(
      select x.id from reveille.ready x where x.id = any (ids) order by x.id for update skip locked
    ))
    returning r.id, r.queue, r.task, r.attempt;
end $$;

comment on function reveille.waiting_take is
  'Takes those of these jobs that wait out of where they wait. The caller decides what they become.';
revoke all on function reveille.waiting_take from public;
