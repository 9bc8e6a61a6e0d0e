-- How long to keep completed, and failed and cancelled jobs (seconds), float8 both; number of a
-- week int (null: all). The weeks that may go, and the number of each.
select w.week, reveille.week_number(w.week::timestamp at time zone 'UTC') as number
from reveille.partition_expired(now() - $1::double precision * interval '1 second', now() - $2::double precision * interval '1 second') w (week)
where $3::integer is null or reveille.week_number(w.week::timestamp at time zone 'UTC') = $3::integer
