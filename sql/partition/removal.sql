-- week date. The statements that remove its partitions, in this order; those that an interrupted
-- removal left undone, if any. Jobs go first: without its row there a job is nowhere, whatever else
-- is left of it.
select s.statement
from reveille.partition p
cross join lateral (
  select 1 as nth, format('alter table reveille.%I detach partition reveille.%I %s', p.parent, p.name,
    case when i.inhdetachpending then 'finalize' else 'concurrently' end) as statement
  from pg_inherits i where i.inhrelid = p.oid
  union all
  select 2, format('drop table reveille.%I', p.name)
) s
where p.week = $1::date
order by array_position(array['job', 'attempt', 'outcome'], p.parent), s.nth
