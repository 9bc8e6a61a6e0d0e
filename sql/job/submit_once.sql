-- Requests, each with an idempotency key: principals text[], paths text[], names text[] (the keys),
-- fingerprints bytea[], firsts int[] and lasts int[] (the places of its jobs, from 1), admitted
-- boolean[] (whether it may be kept if it is new). How long answers are kept, float8 (seconds).
-- Then all that submit_keyed.sql takes. Answers (place, nth, job_id, status, outcome, replayed) of
-- each job of each request, and of those that are not answered one row without a job.
select r.place, r.nth, r.job_id, r.status, r.outcome, r.replayed
from (
  select $9::uuid[] as ids, set_config('lock_timeout', $22::text, true),
    set_config('reveille.notify', $23::text, true)
  offset 0
) s
cross join lateral reveille.submit_once($1::text[], $2::text[], $3::text[], $4::bytea[],
  $5::integer[], $6::integer[], $7::boolean[], $8::double precision, s.ids, $10::text[],
  $11::text[], $12::smallint[],
  array(
    select coalesce(u.run_at, now() + coalesce(u.delay, 0) * interval '1 second')
    from unnest($9::uuid[], $13::timestamptz[], $14::double precision[]) with ordinality
      u (id, run_at, delay, nth) order by u.nth
  ),
  $15::jsonb[], $16::integer[], $17::double precision[], $18::jsonb[], $19::jsonb[], $20::text[],
  $21::text[]) r
