-- As submit.sql, of jobs of which some have a concurrency_key, but for the notes: whether to notify,
-- text (on or off). The triggers of where they wait do that.
select reveille.insert_jobs(s.ids, $2::text[], $3::text[], $4::smallint[],
  array(
    select coalesce(u.run_at, now() + coalesce(u.delay, 0) * interval '1 second')
    from unnest($1::uuid[], $5::timestamptz[], $6::double precision[]) with ordinality
      u (id, run_at, delay, nth) order by u.nth
  ),
  $7::jsonb[], $8::integer[], $9::double precision[], $10::jsonb[], $11::jsonb[], '{}',
  array_fill(true, array[cardinality(s.ids)]))
from (
  select $1::uuid[] as ids, set_config('reveille.notify', $12::text, true)
  offset 0
) s
