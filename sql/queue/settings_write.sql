-- name text, settings jsonb (null: none), of_file text[] (which of them the file gave; null: none),
-- settings_at timestamptz of those that they replace (null: it never had any), principal, action,
-- request id text. Answers when; nothing if others changed them meanwhile.
with clock as materialized (
  insert into reveille.settings_clock as c (at) values (clock_timestamp())
  on conflict (one) do update set at = greatest(excluded.at, c.at + interval '1 microsecond')
  returning c.at
), written as (
  insert into reveille.queue as q (name, settings, of_file, settings_at)
  select $1::text, $2::jsonb, $3::text[], clock.at from clock
  on conflict (name) do update
    set settings = excluded.settings, of_file = excluded.of_file, touched_at = now(),
      settings_at = excluded.settings_at
    where q.settings_at is not distinct from $4::timestamptz
  returning q.name, q.settings_at
)
select w.settings_at, reveille.audit_write($5::text, $6::text, 'queue ' || w.name, null, $7::text)
from written w
