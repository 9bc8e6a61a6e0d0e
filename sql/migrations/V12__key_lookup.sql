-- Jobs are looked up by their unique key long after they have ended and let go of it. Jobs without one pay nothing.
create index job_unique_key on reveille.job (unique_key, id) where unique_key is not null;
