-- Who keeps vacuum from removing dead rows for longest: a session, a prepared transaction or a
-- replication slot.
select holder, age, seconds from (
  select format('session %s (%s, %s, %s)', pid, usename, coalesce(nullif(application_name, ''), 'no application_name'), state) as holder,
         age(coalesce(backend_xmin, backend_xid))::bigint as age,
         extract(epoch from clock_timestamp() - xact_start)::double precision as seconds
    from pg_stat_activity
   where coalesce(backend_xmin, backend_xid) is not null and pid <> pg_backend_pid() and backend_type = 'client backend'
  union all
  select format('prepared transaction %s (%s)', gid, owner), age(transaction)::bigint,
         extract(epoch from clock_timestamp() - prepared)::double precision
    from pg_prepared_xacts
  union all
  select format('replication slot %s', slot_name), age(coalesce(xmin, catalog_xmin))::bigint, null
    from pg_replication_slots where coalesce(xmin, catalog_xmin) is not null
) as held
order by age desc
limit 1
