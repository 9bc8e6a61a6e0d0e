-- Which server this is, and as whom we are there.
select current_setting('server_version_num')::integer as version_number,
       current_setting('server_version') as version,
       current_database()::text as database,
       current_user::text as role,
       (select rolsuper from pg_roles where rolname = current_user) as superuser,
       pg_is_in_recovery() as in_recovery
