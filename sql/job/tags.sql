-- id uuid. The tags of a job; no row: there is no such job.
select tags from reveille.job where id = $1::uuid limit 1
