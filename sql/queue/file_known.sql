-- digest text. When the tables of a file with this digest were applied, and whether no others were
-- since; nothing if they never were.
select f.applied_at, not exists (
    select from reveille.settings_file n where (n.applied_at, n.digest) > (f.applied_at, f.digest)
  ) as newest
from reveille.settings_file f where f.digest = $1::text
