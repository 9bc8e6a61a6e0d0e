-- The setting that a connection of migrations brings along, if it got through. Every name is
-- qualified: the search_path is not known yet.
select pg_catalog.current_setting('reveille.direct', true)
