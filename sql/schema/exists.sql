-- Whether the schema is there, and whether any migration was ever applied to it.
select exists (select from pg_namespace where nspname = 'reveille'), to_regclass('reveille.migration') is not null
