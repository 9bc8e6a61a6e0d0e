-- The database's time, and the highest id of a job that was submitted by then.
select m.at, reveille.uuid7_floor(m.at + interval '50 milliseconds')
from (select now() as at) m
