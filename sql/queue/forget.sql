-- After how many seconds float8. Forgets queues that are empty and had no job for so long, and have
-- no settings and no pause. Answers how many.
with held as materialized (
  select distinct j.queue
  from (select unnest(l.ids) as id from reveille.lease l) i
  cross join lateral (select j.queue from reveille.job j where j.id = i.id limit 1) j
), gone as (
  delete from reveille.queue q
  where q.settings is null and q.paused_at is null
    and q.touched_at < now() - $1::double precision * interval '1 second'
    and not exists (select from reveille.waiting r where r.queue = q.name)
    and not exists (select from held h where h.queue = q.name)
  returning 1
)
select count(*) from gone
