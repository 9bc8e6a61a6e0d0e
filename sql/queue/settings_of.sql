-- name text. The settings of a queue, and whether it is known: by a row of its own or by a job that
-- waits in it.
select q.name is not null or exists (select from reveille.waiting r where r.queue = n.name) as known,
  q.settings, q.of_file, q.settings_at
from (select $1::text as name) n left join reveille.queue q on q.name = n.name
