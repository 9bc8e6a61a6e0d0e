-- names text[]. Remembers queues that have had jobs.
insert into reveille.queue (name) select unnest($1::text[]) order by 1 on conflict do nothing
