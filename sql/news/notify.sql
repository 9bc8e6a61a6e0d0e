-- payload text. News need no flush: a crash ends everybody who would have heard them.
select set_config('synchronous_commit', 'off', true), pg_notify('reveille', $1::text)
