-- queue, task, code text, family bigint (null: any); failed at or after and before timestamptz
-- (null: any); above which and up to which id uuid; failed no later than timestamptz; the most jobs
-- to look at bigint. How many of the jobs that it looks at a redrive is about, how many it has
-- looked at, and from which submission to which.
select count(*) filter (where l.fits) as matched, count(*) as looked,
  reveille.uuid7_time((array_agg(l.id order by l.id))[1]) as oldest,
  reveille.uuid7_time((array_agg(l.id order by l.id desc))[1]) as newest
from reveille.dead_letters_from($1::text, $2::text, $3::text, $4::bigint, $5::timestamptz,
  $6::timestamptz, $7::uuid, $8::uuid, $9::timestamptz, $10::bigint) l
