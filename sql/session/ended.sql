-- pid, backend_start. Whether this session works on nothing; if it is idle, it is ended. No row: it
-- is gone, and another session may have its number.
select coalesce(state like 'idle%', false) and pg_terminate_backend(pid)
from pg_stat_activity where pid = $1::integer and backend_start = $2::timestamptz
