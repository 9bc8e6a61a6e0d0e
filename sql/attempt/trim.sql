-- ids uuid[], how many to keep bigint. Forgets all but the last snoozes of these jobs. The last one
-- then says how many there were.
with s as materialized (
  select * from reveille.snoozes($1::uuid[])
), gone as (
  delete from reveille.attempt x using s where x.id = s.id and x.lease = s.lease and s.nth > $2::bigint
)
update reveille.attempt x set error = jsonb_build_object('code', 'snoozed', 'count', s.total,
  'message', 'the job has snoozed ' || s.total || ' times; the last ' || $2::bigint || ' are kept')
from s
where s.nth = 1 and s.kept > $2::bigint and x.id = s.id and x.lease = s.lease
