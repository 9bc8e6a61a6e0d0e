-- Every way from an end back to wait: an operator's retry and a redrive. Here the next life of
-- the job begins (`life_begin`).
--
-- The locks are for the partitions of the weeks: while one is being removed, its jobs are gone
-- already. The second one is for services of the release before.
create or replace function reveille.jobs_put_back(
  ids uuid[], run_ats timestamptz[], redriven_at timestamptz
) returns setof uuid
language plpgsql as $$
declare
  moved uuid[];
begin
  with w as materialized (
    select w.number from reveille.week w
    where w.removing_since is null and w.number in (
      select reveille.week_number(reveille.uuid7_time(u.id)) from unnest($1) u (id))
    order by w.number for share
  ), here as materialized (
    select w.number from w where pg_try_advisory_xact_lock_shared(79, w.number)
      or not exists (select from reveille.old_lock_holders(79, w.number) h where h.counts)
  ), o as materialized (
    select x.*, u.run_at from unnest($1, $2) u (id, run_at)
    cross join lateral (
      select * from reveille.outcome o where o.id = u.id limit 1 for update
    ) x
    where exists (select from here
      where here.number = reveille.week_number(reveille.uuid7_time(u.id)))
    order by u.id
  ), gone as (
    delete from reveille.outcome x where x.id = any (array(select o.id from o))
  ), own as (
    delete from reveille.superseded s where s.id = any (array(select o.id from o))
  ), tried as (
    insert into reveille.attempt (id, lease, worker, worker_name, claimed_at, ended_at, attempt,
      ending, result, error, redriven_at)
    select o.id, coalesce(o.lease, gen_random_uuid()), o.worker, o.worker_name, o.claimed_at,
      o.ended_at, o.attempt, o.state::text, o.result, o.error, $3
    from o
  ), b as materialized (
    select j.queue, j.task, j.priority, o.run_at, j.id, j.settings ->> 'concurrency_key' as key,
      (o.run_at < clock_timestamp() + interval '2 minutes' and row_number() over (
        partition by j.queue, j.task, j.priority, j.settings ->> 'concurrency_key' is not null
        order by o.run_at, j.id) = 1)::integer as wakes
    from o cross join lateral (select * from reveille.job x where x.id = o.id limit 1) j
  ), keyed as (
    insert into reveille.keyed (queue, key, run_at, id, task, priority, look, wakes)
    select b.queue, b.key, b.run_at, b.id, b.task, b.priority,
      1 + (b.run_at > clock_timestamp())::integer, b.wakes
    from b where b.key is not null
  ), back as (
    insert into reveille.ready (queue, task, priority, run_at, id, wakes)
    select b.queue, b.task, b.priority, b.run_at, b.id, b.wakes from b where b.key is null
  )
  select array_agg(b.id) into moved from b;
  if moved is not null then
    perform reveille.life_begin(moved);
  end if;
  return query select m.id from unnest(moved) m (id);
end $$;

comment on function reveille.jobs_put_back is
  'Sends jobs that have ended back to wait, with fresh attempts; how they had ended goes to their '
  'history. Returns those that it moved. Their unique keys are the caller''s.';
revoke all on function reveille.jobs_put_back from public;
