-- ids uuid[]. How old these jobs are in seconds, from their submission or from the time before which
-- they do not start, and whether an attempt of each has begun before.
select j.id, extract(epoch from clock_timestamp() - greatest(reveille.uuid7_time(j.id), j.run_at))::double precision as age,
  reveille.has_begun(j.id, '-infinity') as begun
from reveille.jobs_found($1::uuid[]) j
