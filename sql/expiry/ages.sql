-- ids uuid[]. The ages of these jobs in seconds, and whether an attempt of each has begun before.
-- An age counts from the submission, or from the time before which the job does not start.
select j.id, extract(epoch from clock_timestamp() - greatest(reveille.uuid7_time(j.id), j.run_at))::double precision as age,
  reveille.has_begun(j.id, '-infinity') as begun
from reveille.jobs_found($1::uuid[]) j
