-- How many connections the server has, and how many are left for a role like ours.
select current_setting('max_connections')::bigint as most,
       current_setting('max_connections')::bigint
         - current_setting('superuser_reserved_connections')::bigint
         - coalesce(current_setting('reserved_connections', true), '0')::bigint
         - (select coalesce(sum(numbackends), 0) from pg_stat_database)::bigint as free
