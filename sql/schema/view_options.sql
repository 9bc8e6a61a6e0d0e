-- The statements that give the views of the schema the options that they have now.
select format('alter view reveille.%I set (%s)', c.relname, array_to_string(c.reloptions, ', ')) as change
from pg_class c
where c.relnamespace = 'reveille'::regnamespace and c.relkind = 'v' and c.reloptions is not null
