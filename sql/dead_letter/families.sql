-- queues text[], tasks text[], codes text[] (null: any); a family bigint (null: any); the most
-- families to look at bigint. Each family in order, with its newest job. The index is walked from
-- family to family, so that the number of jobs does not matter.
with recursive f (family, nth) as (
  (select o.family, 1::bigint from reveille.outcome o
   where o.state = 'failed' and o.family >= coalesce($4::bigint, -9223372036854775808)
   order by o.family limit 1)
  union all
  select (select o.family from reveille.outcome o
    where o.state = 'failed' and o.family > f.family order by o.family limit 1), f.nth + 1
  from f where f.family is not null and $4::bigint is null and f.nth < $5::bigint
)
select f.family, f.nth, j.id, j.task, j.queue, e.error,
  ($1::text[] is null or j.queue = any ($1::text[]))
  and ($2::text[] is null or j.task = any ($2::text[]))
  and ($3::text[] is null or e.error ->> 'code' = any ($3::text[])) as fits
from f
cross join lateral (
  select o.id, o.error from reveille.outcome o
  where o.state = 'failed' and o.family = f.family order by o.id desc limit 1
) n
cross join lateral (select reveille.error_shown(n.error) as error) e
left join lateral (select j.id, j.task, j.queue from reveille.job j where j.id = n.id limit 1) j
  on true
where $4::bigint is null or f.family = $4::bigint
order by f.family
