-- The server's version. Every name is qualified: the search_path is not known yet.
select pg_catalog.current_setting('server_version_num')::pg_catalog.int4, pg_catalog.current_setting('server_version')
