-- number of a week int. The lock that services of the release before take. Answers whether this
-- session has it, whether a session that may be one of theirs holds it, and who else does.
select pg_try_advisory_lock(79, $1::integer),
  exists (select from reveille.old_lock_holders(79, $1::integer) h where h.counts),
  coalesce((select string_agg(format('%s of %s', h.pid, h.role), ', ') from reveille.old_lock_holders(79, $1::integer) h), '')
