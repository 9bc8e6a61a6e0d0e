-- A limit that a job has of its queue is written nowhere: its age says whether it is over. The age
-- counts from the submission, or from the time before which the job does not start.
--
-- Jobs are looked for in the lanes of such queues, as far as they have been due for long enough. Then
-- they are locked, and asked again: none can begin after that.
create or replace function reveille.expire_defaults(most integer)
returns table (id uuid, queue text, task text, error jsonb)
language plpgsql as $$
declare
  due uuid[];
  waiting uuid[];
  late uuid[];
  errors jsonb[];
begin
  with recursive limited as materialized (
    select q.name, least((q.settings ->> 'queue_ttl_seconds')::double precision,
      (q.settings ->> 'deadline_seconds')::double precision) as seconds
    from reveille.queue q
    where q.settings_at is not null
      and reveille.is_timed(q.settings)
  ), lane as (
    select f.* from limited l cross join lateral (
      select r.queue, r.task, r.priority, l.seconds from reveille.waiting r
      where r.queue = l.name order by r.queue, r.task, r.priority limit 1
    ) f
    union all
    select x.* from lane l cross join lateral (
      select r.queue, r.task, r.priority, l.seconds from reveille.waiting r
      where r.queue = l.queue and (r.task, r.priority) > (l.task, l.priority)
      order by r.queue, r.task, r.priority limit 1
    ) x
  )
  select array_agg(c.id) into due from (
    select r.id from lane l cross join lateral (
      select x.id from reveille.waiting x
      where x.queue = l.queue and x.task = l.task and x.priority = l.priority
        and x.run_at <= now() - l.seconds * interval '1 second'
        and reveille.default_error(x.id) is not null
      order by x.run_at, x.id limit most
    ) r limit most
  ) c;
  if due is null then
    return;
  end if;
  waiting := reveille.waiting_lock(due, false);
  select array_agg(l.id), array_agg(l.error) into late, errors from (
    select w.id, reveille.default_error(w.id) as error from unnest(waiting) w (id)
  ) l
  where l.error is not null;
  return query select w.* from reveille.waiting_end(late, 'failed', errors) w;
end $$;

comment on function reveille.expire_defaults is
  'Ends waiting jobs that a limit of their queue is over for, as many as may be due. Returns them.';
revoke all on function reveille.expire_defaults from public;
