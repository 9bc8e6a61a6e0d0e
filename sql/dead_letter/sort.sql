-- ids uuid[], families bigint[]. Gives jobs that failed their families, and answers how many it gave.
-- A job that was sent back meanwhile has no row, or one that another statement wrote. Nobody is
-- waited for: a job that is locked is found again.
with sorted as (
  update reveille.outcome x set family = u.family
  from unnest($1::uuid[], $2::bigint[]) u (id, family)
  where x.id = u.id and x.state = 'failed' and x.family is null and x.id = any (array(
    select o.id from reveille.outcome o where o.id = any ($1::uuid[]) order by o.id for update skip locked
  ))
  returning x.id
)
select count(*) from sorted
