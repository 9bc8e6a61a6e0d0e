-- Names, text[]. The statements that give the views among them the options that they have now.
select format('alter view reveille.%I set (%s)', c.relname, array_to_string(c.reloptions, ', ')) as change
from pg_class c
where c.relnamespace = 'reveille'::regnamespace and c.relkind = 'v' and c.reloptions is not null and c.relname = any ($1::text[])
