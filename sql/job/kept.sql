-- ids uuid[]. Those of these jobs that exist, and how they stand.
select j.id, reveille.job_status(j.id) from reveille.job j where j.id = any ($1::uuid[])
