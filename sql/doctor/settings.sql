-- Settings as they are for this role in this database.
select name, setting from pg_settings where name = any ($1)
