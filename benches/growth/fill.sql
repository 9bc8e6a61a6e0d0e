-- Jobs as the service writes them, set by set instead of one by one; psql variables: waiting, ended, queues, priorities.
-- The ended ones came over the last six days, the waiting ones within the last hour. One in a thousand has a tag, one in 256
-- of the ended failed.
\o /dev/null
set synchronous_commit = off;

create temp table made (part text, first bigint, jobs bigint, since timestamptz, step interval);
insert into made
select 'ended', 0, :ended::bigint, now() - interval '6 days', interval '142 hours' / greatest(:ended, 1) where :ended > 0
union all
select 'waiting', :ended, :waiting::bigint, now() - interval '1 hour', interval '1 hour' / greatest(:waiting, 1) where :waiting > 0;

insert into reveille.job (id, run_at, priority, queue, task, payload, tags)
select (lpad(to_hex(floor(extract(epoch from since + step * n) * 1000)::bigint), 12, '0') || '70008' || lpad(to_hex(first + n), 15, '0'))::uuid,
  since + step * n, case when :priorities = 1 then 5 else n % :priorities end,
  case when :queues = 1 then 'default' else 'queue-' || n % :queues end, 'noop', '{"n": 0}', case when n % 1000 = 0 then array['rare'] end
from made cross join lateral generate_series(0, jobs - 1) n;

insert into reveille.outcome (id, lease, worker, claimed_at, ended_at, attempt, state, error)
select j.id, j.id, '00000000-0000-7000-8000-000000000000', j.run_at, j.run_at + interval '2 ms', 1, e.state::reveille.end_state,
  case e.state when 'failed' then '{"code": "handler_error", "message": "connection refused"}'::jsonb end
from reveille.job j
cross join lateral (select case when right(j.id::text, 2) = '00' then 'failed' else 'completed' end as state) e
where :ended > 0 and j.id < reveille.uuid7_floor(now() - interval '90 minutes');

insert into reveille.ready (queue, task, priority, run_at, id, payload)
select queue, task, priority, run_at, id, payload from reveille.job
where :waiting > 0 and id >= reveille.uuid7_floor(now() - interval '90 minutes');

insert into reveille.queue (name) select distinct queue from reveille.ready on conflict do nothing;
