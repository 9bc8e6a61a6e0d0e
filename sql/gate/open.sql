-- queue text, keys text[], ids uuid[] of jobs that let others pass. Gives free turns to the next jobs.
-- Answers the keys that others have locked, and the lanes that have jobs now. A crash may forget it.
with relaxed as materialized (
  select set_config('synchronous_commit', 'off', true), case when cardinality($3::uuid[]) > 0
    then reveille.gates_yield($3) end
)
select o.busy, o.task, o.priority
from (select $1::text as queue from relaxed offset 0) s
cross join lateral reveille.gates_open(s.queue, $2::text[]) o
