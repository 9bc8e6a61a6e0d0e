-- Which database this is: no other one has the same words while its server runs.
select current_database() || ' ' || d.oid || ' ' || extract(epoch from pg_postmaster_start_time()) as identity
from pg_database d where d.datname = current_database()
