-- How long answers are kept, float8 (seconds); the most to forget, bigint. Answers how many.
with old as materialized (
  select i.principal, i.path, i.key from reveille.idempotency i
  where i.at <= now() - $1::double precision * interval '1 second'
  order by i.at limit $2::bigint for update skip locked
), gone as (
  delete from reveille.idempotency i using old o
  where i.principal = o.principal and i.path = o.path and i.key = o.key
)
select count(*) from old
