-- id uuid, cursor jsonb, next_at timestamptz, whether it came on boolean, moved and skipped bigint
-- (by this step), skips jsonb (to append), canary jsonb, outcome text (null: it goes on), halted_by
-- uuid, reason text. The state of an operation after a step. Of the jobs that it could not move it
-- keeps the first hundred.
update reveille.operation o set cursor = $2::jsonb, next_at = $3::timestamptz,
  worked_at = case when $4::boolean then clock_timestamp() else o.worked_at end,
  moved = o.moved + $5::bigint, skipped = o.skipped + $6::bigint,
  skips = case when jsonb_array_length(o.skips) < 100 then o.skips || $7::jsonb else o.skips end,
  canary = $8::jsonb, outcome = $9::text,
  stopped_at = case when $9::text is not null then clock_timestamp() end,
  halted_by = $10::uuid, reason = $11::text
where o.id = $1::uuid
