-- worker uuid, crash budget int, whether that is a crash of the jobs' own int (1) or not (0), name
-- text. Takes back what a lost worker held; its row must be locked. A crash spends no attempt. An
-- unknown worker was taken for lost before it claimed these jobs, by a process that lives. They are
-- given back without a crash. Jobs go back to where they stood, not behind what came later;
-- superseded ones end. Keys are not touched: those of the jobs that ended are freed afterwards. So
-- their ids are an answer, and so are ids, tasks and queues of those that failed. From its second
-- crash on a job is a suspect and runs alone, and only a crash there counts towards the budget.
with l as materialized (
  delete from reveille.lease where lease = any (array(select lease from reveille.lease where worker = $1::uuid order by lease for update)) returning *
), h as materialized (
  select l.lease, l.worker, l.claimed_at, u.*, s.replacement,
    case
      when u.id = any (l.cancels) or s.id is not null then 'cancelled'
      when u.crashes >= 2 and $3::integer = 1 and u.crashes + 1 >= $2::integer then 'failed'
    end as state
  from l cross join lateral unnest(l.ids, l.attempts, l.crashes) u (id, attempt, crashes)
  left join lateral (select * from reveille.superseded x where x.id = u.id limit 1) s on true
), ended as (
  insert into reveille.outcome (id, lease, worker, worker_name, claimed_at, attempt, state, error)
  select id, lease, worker, $4::text, claimed_at, attempt, state::reveille.end_state, case
      when state = 'failed'
        then jsonb_build_object('code', 'worker_lost', 'message', 'its worker was lost ' || crashes + 1 || ' times, at last while it ran alone')
      when replacement is not null
        then jsonb_build_object('code', 'superseded', 'message', 'job ' || replacement || ' took its unique key, and its worker stopped answering',
          'job_id', replacement)
      else '{"code": "cancelled", "message": "its worker stopped answering after the job was cancelled"}'
    end
  from h where state is not null
), tried as (
  insert into reveille.attempt (id, lease, worker, worker_name, claimed_at, attempt, ending, error)
  select id, lease, worker, $4::text, claimed_at, attempt, case $3 when 1 then 'lost' else 'released' end,
    case $3 when 1 then '{"code": "worker_lost", "message": "its worker stopped answering"}'::jsonb end
  from h where state is null
), back as (
  insert into reveille.ready (queue, task, priority, run_at, id, attempt, crashes, wakes)
  select j.queue, j.task, j.priority, j.run_at, h.id, h.attempt - 1, h.crashes + $3,
    (row_number() over (partition by j.queue order by h.id) = 1)::integer * 2
  from h cross join lateral (select * from reveille.job j where j.id = h.id limit 1) j
  where h.state is null
), turns as (
  insert into reveille.freed (queue, key)
  select j.queue, j.settings ->> 'concurrency_key'
  from h cross join lateral (select * from reveille.job j where j.id = h.id limit 1) j
  where h.state is not null and j.settings ->> 'concurrency_key' is not null
), failed as materialized (
  select j.id, j.task, j.queue from h cross join lateral (select * from reveille.job j where j.id = h.id limit 1) j where h.state = 'failed'
), suspects as (
  select pg_notify('reveille', 'suspects') where exists (select from h where h.state is null and h.crashes + $3 >= 2)
)
select count(*) filter (where h.state is null), coalesce(array_agg(h.id) filter (where h.state is not null), '{}'),
  array(select id from failed order by id), array(select task from failed order by id), array(select queue from failed order by id),
  (select count(*) from suspects)
from h
