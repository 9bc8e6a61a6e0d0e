-- Whether this session has the lock of migrations, which goes with it.
select pg_try_advisory_lock(77, 0)
