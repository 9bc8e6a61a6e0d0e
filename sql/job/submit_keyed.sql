-- ids uuid[], queues text[], tasks text[], priorities smallint[], run_ats timestamptz[] and delays
-- float8[] (seconds; both null: now), payloads jsonb[], max_attempts int[], timeouts float8[], tags
-- jsonb[], settings jsonb[], keys text[], policies text[] (keep, reject, replace), how long to wait
-- for a key that an open transaction holds (lock_timeout, text), and whether to notify (on or off).
-- A shorter array counts as nulls. Answers (nth, job_id, status, outcome), where outcome is
-- created, existing, replaced or rejected.
--
-- The settings are those of this statement's transaction, and are made before the call because it
-- takes its ids from there.
select r.nth, r.job_id, r.status, r.outcome
from (
  select $1::uuid[] as ids, set_config('lock_timeout', $14::text, true),
    set_config('reveille.notify', $15::text, true)
  offset 0
) s
cross join lateral reveille.submit_keyed(s.ids, $2::text[], $3::text[], $4::smallint[],
  array(
    select coalesce(u.run_at, now() + coalesce(u.delay, 0) * interval '1 second')
    from unnest($1::uuid[], $5::timestamptz[], $6::double precision[]) with ordinality
      u (id, run_at, delay, nth) order by u.nth
  ),
  $7::jsonb[], $8::integer[], $9::double precision[], $10::jsonb[], $11::jsonb[], $12::text[],
  $13::text[]) r
