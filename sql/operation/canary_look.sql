-- operation uuid, the most jobs to take bigint. Takes the jobs of a canary that have ended or
-- failed an attempt since they were moved. Answers how many, how many of them failed, and the first
-- that failed with its error.
with c as materialized (
  select c.* from reveille.canary c where c.operation = $1::uuid
), v as materialized (
  select c.id, coalesce(o.state = 'failed', a.id is not null) as failed,
    coalesce(o.error, a.error) as error
  from c
  left join lateral (
    select x.state, x.error from reveille.outcome x where x.id = c.id limit 1
  ) o on true
  left join lateral (
    select x.id, x.error from reveille.attempt x
    where x.id = c.id and x.ending = 'failed' and x.redriven_at is null and x.ended_at >= c.moved_at
    limit 1
  ) a on o.state is null or o.state = 'failed'
  where o.state is not null or a.id is not null
    or not exists (select from reveille.job j where j.id = c.id)
  order by c.id limit $2::bigint
), gone as (
  delete from reveille.canary x
  where x.operation = $1::uuid and x.id = any (array(select v.id from v))
), bad as materialized (
  select v.id, reveille.error_shown(v.error) as error
  from v where v.failed order by v.id limit 1
)
select (select count(*) from v) as ended, (select count(*) from v where v.failed) as failed,
  (select bad.id from bad) as first, (select bad.error from bad) as error
