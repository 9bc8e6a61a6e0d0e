-- names text[]. Remembers queues that have had jobs, and once an hour that they still have some.
-- Most are known, and looking for one costs half of a conflict. A row that somebody has locked is
-- left to the next look.
with stale as materialized (
  select q.name from reveille.queue q
  where q.name = any ($1::text[]) and q.touched_at < now() - interval '1 hour'
  for update skip locked
), touched as (
  update reveille.queue q set touched_at = now() from stale where q.name = stale.name
)
insert into reveille.queue (name)
select u.name from unnest($1::text[]) u (name)
where not exists (select from reveille.queue q where q.name = u.name)
order by u.name on conflict do nothing
