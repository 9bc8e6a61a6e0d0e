-- How long to keep seconds float8, the most bigint. Forgets the oldest rows that are past their
-- time, and answers how many.
with old as (
  select a.id from reveille.audit a
  where a.id < reveille.uuid7_floor(now() - $1::double precision * interval '1 second')
  order by a.id limit $2::bigint
), gone as (
  delete from reveille.audit a using old where a.id = old.id returning a.id
)
select count(*) from gone
