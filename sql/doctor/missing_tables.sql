-- Which of these tables of the schema are not there.
select name from unnest($1::text[]) as name where to_regclass('reveille.' || name) is null
