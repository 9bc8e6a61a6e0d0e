-- The newest migration that was applied.
select coalesce(max(version), 0)::integer from reveille.migration
