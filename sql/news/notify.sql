-- payload text.
select pg_notify('reveille', $1::text)
