-- names text[]. Remembers queues that have had jobs. Most are known, and looking for one costs half
-- of a conflict.
insert into reveille.queue (name)
select u.name from unnest($1::text[]) u (name)
where not exists (select from reveille.queue q where q.name = u.name)
order by u.name on conflict do nothing
