-- name text. Nothing of this queue is claimed from now on; a queue that nobody knows becomes known.
insert into reveille.queue (name, paused_at) values ($1::text, now())
on conflict (name) do update set paused_at = excluded.paused_at where queue.paused_at is null
