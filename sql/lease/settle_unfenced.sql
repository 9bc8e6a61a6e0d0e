-- This must not be; it is for builds with faults: ids uuid[], leases uuid[], results jsonb[].
-- Writes results of jobs that have ended, whoever holds or held them.
update reveille.outcome x set lease = o.lease, result = o.result
from unnest($1::uuid[], $2::uuid[], $3::jsonb[]) as o (id, lease, result)
where x.id = o.id and x.state = 'completed'
