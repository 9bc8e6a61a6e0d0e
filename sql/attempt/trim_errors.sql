-- ids uuid[], the most bytes of messages that stay whole, bigint. Cuts messages of the attempts of
-- these jobs: that of the first stays, and those of the last that fit beside it.
with e as materialized (
  select e.id, e.lease, e.bytes, e.nth,
    sum(e.bytes) over (partition by e.id order by e.nth <> 1, e.nth desc) as so_far
  from unnest($1::uuid[]) u (id) cross join lateral (
    select a.id, a.lease, octet_length(a.error ->> 'message') as bytes,
      row_number() over (order by a.ended_at, a.lease) as nth
    from reveille.attempt a
    where a.id = u.id and a.ending <> 'snoozed' and a.error ->> 'message' is not null
  ) e
)
update reveille.attempt x
set error = x.error || jsonb_build_object('message', '… (' || e.bytes || ' bytes cut)')
from e
where x.id = e.id and x.lease = e.lease and e.nth > 1 and e.so_far > $2::bigint and e.bytes > 24
