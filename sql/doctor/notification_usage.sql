-- How full the queue of notifications is, from 0 to 1. When it is full, commits that notify fail.
select pg_notification_queue_usage() as usage
