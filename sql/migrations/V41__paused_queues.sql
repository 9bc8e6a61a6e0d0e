-- Each claim of whole queues asks whether any queue is paused, and whoever hears of a pause asks
-- which are. Most are not.
create index queue_paused on reveille.queue (name) where paused_at is not null;
