-- after which family bigint (null: none), the most jobs to count bigint. How many jobs failed that
-- are of a later family, or of none yet.
select count(*) as jobs, count(*) >= $2::bigint as cut from (
  select from reveille.outcome o
  where o.state = 'failed' and (o.family > $1::bigint or o.family is null) limit $2::bigint
) o
