-- since timestamptz (null: from the beginning). The settings of queues that were changed after that,
-- null where they were taken away.
select q.name, q.settings, q.settings_at from reveille.queue q
where q.settings_at > coalesce($1::timestamptz, '-infinity')
