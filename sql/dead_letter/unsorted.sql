-- the most bigint. Jobs that failed and have no family yet: SQL or the release before wrote them.
select o.id, j.task, j.queue, coalesce(o.error ->> 'code', '') as code,
  coalesce(o.error ->> 'message', '') as message
from (
  select x.id, x.error from reveille.outcome x
  where x.state = 'failed' and x.family is null order by x.id limit $1::bigint
) o
cross join lateral (select * from reveille.job j where j.id = o.id limit 1) j
