-- pid. Whether this session works on nothing; if it is idle, it is ended. No row: it is gone.
select state like 'idle%' and pg_terminate_backend(pid) from pg_stat_activity where pid = $1::integer
