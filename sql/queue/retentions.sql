-- The queues that keep their jobs for a time of their own.
select q.name, q.settings from reveille.queue q
where q.settings_at is not null and q.settings ?| array['keep_completed_seconds', 'keep_failed_seconds']
