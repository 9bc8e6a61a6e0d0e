-- The places where a job waits: every statement that asks what waits asks here. A claim takes from
-- `ready` alone.
create or replace view reveille.waiting as
select 'ready'::text as place, r.queue, r.task, r.priority, r.run_at, r.id, r.attempt, r.crashes,
  null::text collate "C" as key
from reveille.ready r
union all
select 'keyed'::text, k.queue, k.task, k.priority, k.run_at, k.id, k.attempt, k.crashes, k.key
from reveille.keyed k;

comment on view reveille.waiting is
  'Each job that waits, once: where it lies, and the concurrency_key that it waits for.';
revoke all on reveille.waiting from public;
