-- The process of the server that serves this session, and when it was started.
select pid, backend_start from pg_stat_get_activity(pg_backend_pid())
