-- An attempt whose worker was lost keeps the worker's name: the row of the worker goes with the rescue.
alter table reveille.attempt add column worker_name text;
alter table reveille.outcome add column worker_name text;
comment on column reveille.attempt.worker_name is 'The name of a worker that was lost; of any other null, and in the table worker while that is known.';
comment on column reveille.outcome.worker_name is 'As in attempt.';

-- The view of jobs stays as it is but for this column, with the options that somebody may have given it.
do $$
declare
  known text := pg_get_viewdef('reveille.jobs'::regclass);
  options text := (select ' with (' || array_to_string(c.reloptions, ', ') || ')' from pg_class c where c.oid = 'reveille.jobs'::regclass);
begin
  execute format('create or replace view reveille.jobs%s as %s', options,
    replace(known, 'w.name AS worker_name', 'COALESCE(o.worker_name, w.name) AS worker_name'));
end $$;
