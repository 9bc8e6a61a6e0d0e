-- seconds float8. Forgets operations that ended so long ago, and what the canaries of those that have
-- ended still watch.
with c as (
  delete from reveille.canary c where not exists (
    select from reveille.operation o where o.id = c.operation and o.stopped_at is null)
)
delete from reveille.operation o
where o.stopped_at < now() - $1::double precision * interval '1 second'
