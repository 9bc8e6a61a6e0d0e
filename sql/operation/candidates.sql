-- As dead_letter/match, and the most jobs to move bigint. The jobs that a redrive moves next, in
-- order, each locked. A job that others have locked is `busy`. Also how far it has looked:
-- `reached` is the last job, null if there was none, and `done` says that there are no more.
with l as materialized (
  select * from reveille.dead_letters_from($1::text, $2::text, $3::text, $4::bigint,
    $5::timestamptz, $6::timestamptz, $7::uuid, $8::uuid, $9::timestamptz, $10::bigint)
), f as materialized (
  select * from l where l.fits order by l.id limit $11::bigint
), o as materialized (
  select f.*, x.id is null as busy from f left join lateral (
    select x.id from reveille.outcome x
    where x.id = f.id and x.state = 'failed' and x.ended_at <= $9::timestamptz
    limit 1 for update skip locked
  ) x on true
), s as materialized (
  select (select count(*) from f) = $11::bigint as filled,
    (select f.id from f order by f.id desc limit 1) as moved,
    (select l.id from l order by l.id desc limit 1) as looked,
    (select count(*) from l) < $10::bigint as last
)
select case when s.filled then s.moved else s.looked end as reached,
  s.last and not s.filled as done,
  o.id, o.task_name as task, o.keyed, o.busy
from s left join o on true
order by o.id
