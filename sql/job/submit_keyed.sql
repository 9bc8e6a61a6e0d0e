-- As submit.sql, with keys text[] and policies text[] (keep, reject, replace), how long to wait for a key that an open
-- transaction holds (lock_timeout, text), and whether to notify (on or off). Answers (nth, job_id, status, outcome), where
-- outcome is created, existing, replaced or rejected. The settings are those of this statement's transaction, and are made
-- before the call because it takes its ids from there.
select r.nth, r.job_id, r.status, r.outcome
from (select $1::uuid[] as ids, set_config('lock_timeout', $13::text, true), set_config('reveille.notify', $14::text, true) offset 0) s
cross join lateral reveille.submit_rows(s.ids, $2::text[], $3::text[], $4::smallint[],
  array(select coalesce(u.run_at, now() + coalesce(u.delay, 0) * interval '1 second')
    from unnest($1::uuid[], $5::timestamptz[], $6::double precision[]) with ordinality u (id, run_at, delay, nth) order by u.nth),
  $7::jsonb[], $8::integer[], $9::double precision[], $10::jsonb[], $11::text[], $12::text[]) r
