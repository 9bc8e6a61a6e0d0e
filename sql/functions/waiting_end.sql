-- Keys are not looked at: the caller has those of the jobs that ended freed afterwards.
create or replace function reveille.waiting_end(ids uuid[], state text, errors jsonb[])
returns table (id uuid, queue text, task text, error jsonb)
language plpgsql as $$
begin
  return query
    with gone as materialized (
      select w.*, u.error from reveille.waiting_take(ids, false) w
      join unnest(ids, errors) u (id, error) on u.id = w.id
    ), ended as (
      insert into reveille.outcome (id, attempt, state, error)
      select g.id, g.attempt, $2::reveille.end_state, g.error from gone g
    )
    select g.id, g.queue, g.task, g.error from gone g;
end $$;

comment on function reveille.waiting_end is
  'Ends those of these jobs that wait, each with its error. Returns them.';
revoke all on function reveille.waiting_end from public;
