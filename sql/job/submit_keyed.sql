-- As submit.sql, with keys text[] and policies text[] (keep, reject, replace). Answers (nth, job_id, status, outcome), where
-- outcome is created, existing, replaced or rejected.
select r.nth, r.job_id, r.status, r.outcome
from reveille.submit_rows($1::uuid[], $2::text[], $3::text[], $4::smallint[],
  array(select coalesce(u.run_at, now() + coalesce(u.delay, 0) * interval '1 second')
    from unnest($5::timestamptz[], $6::double precision[]) with ordinality u (run_at, delay, nth) order by u.nth),
  $7::jsonb[], $8::integer[], $9::double precision[], $10::jsonb[], $11::text[], $12::text[]) r
