-- A job that waits for another attempt lets the others of its key pass. It waits among them again when
-- its time has come.
create or replace function reveille.gates_yield(ids uuid[]) returns void
language plpgsql as $$
begin
  with r as materialized (
    delete from reveille.ready r
    where r.id = any (array(
      select x.id from reveille.ready x where x.id = any (ids) order by x.id for update skip locked
    ))
    returning r.*
  ), j as materialized (
    select j.id, j.settings ->> 'concurrency_key' as key
    from reveille.jobs_found(array(select r.id from r)) j
  )
  insert into reveille.keyed (queue, key, run_at, id, task, priority, attempt, crashes, look, wakes)
  select r.queue, j.key, r.run_at, r.id, r.task, r.priority, r.attempt, r.crashes,
    1 + (r.run_at > clock_timestamp())::integer, 1
  from r join j on j.id = r.id;
end $$;

comment on function reveille.gates_yield is
  'Moves jobs that wait in `ready` for another attempt back among the others of their keys.';
revoke all on function reveille.gates_yield from public;
