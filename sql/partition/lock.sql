-- number of a week int. Whether this session may remove it: no job of it is being retried, and none will be.
select pg_try_advisory_lock(79, $1::integer)
