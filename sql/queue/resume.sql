-- name text.
update reveille.queue set paused_at = null where name = $1::text and paused_at is not null
