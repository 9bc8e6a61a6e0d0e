-- A cached plan locks and opens every partition that it names, so the statements of claims and
-- outcomes do not name `job`. They call this, and only where they need a row of it. The text is
-- planned at each call, for the weeks between the oldest and the newest id.
--
-- Settings with time limits have a member more: `left`, the seconds until these are over.
create or replace function reveille.jobs_found(ids uuid[])
returns table (
  place integer, id uuid, queue text, task text, priority smallint, run_at timestamptz,
  payload jsonb, max_attempts integer, timeout_seconds double precision, unique_key text,
  settings jsonb
)
language plpgsql stable strict rows 250 as $$
begin
  return query execute
    'select u.place::integer, j.id, j.queue, j.task, j.priority, j.run_at, j.payload,
       j.max_attempts, j.timeout_seconds, j.unique_key,
       case when reveille.is_timed(j.settings)
         then reveille.settings_left(j.id, j.settings) else j.settings end
     from unnest($1) with ordinality u (id, place)
     cross join lateral (
       select * from reveille.job x where x.id = u.id and x.id between $2 and $3 limit 1
     ) j'
    using ids, (select u.id from unnest(ids) u (id) order by u.id limit 1),
      (select u.id from unnest(ids) u (id) order by u.id desc limit 1);
end $$;

comment on function reveille.jobs_found is
  'The rows of these jobs, each with its place among the ids, from 1. A lost job has no row.';
revoke all on function reveille.jobs_found from public;
