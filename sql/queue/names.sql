-- After text, limit bigint. The names of queues that are known or have waiting jobs, in order.
with recursive waiting as (
  (select r.queue from reveille.waiting r where r.queue > $1::text order by r.queue limit 1)
  union all
  select n.queue from waiting w cross join lateral (
    select r.queue from reveille.waiting r where r.queue > w.queue order by r.queue limit 1
  ) n
)
select u.name from (
  (select w.queue as name from waiting w limit $2::bigint)
  union
  (select q.name from reveille.queue q where q.name > $1::text order by q.name limit $2::bigint)
) u order by u.name limit $2::bigint
