-- The migrations that were applied.
select version from reveille.migration
