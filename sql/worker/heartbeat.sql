-- worker uuid, running jobs int, draining boolean. Renews the worker, and the leadership if it
-- leads and does not drain. Answers one row, or one for each lease that it holds, with the lease
-- and the database's time. It says whether the worker is known, and whether a worker is to be
-- rescued. It also says whether suspects wait, whether the worker leads, and whether no worker
-- leads. It waits for nobody who has locked the row of the leadership, which stands until it runs
-- out. After an outage nobody has had a chance to send a heartbeat: nobody is lost until the server
-- has been up long enough.
with w as (
  update reveille.worker set heartbeat_at = clock_timestamp(), running = $2::integer, draining = $3::boolean where id = $1::uuid
  returning id, lost_after
), led as materialized (
  select l.name from reveille.leader l where l.worker = $1::uuid and not $3::boolean for update skip locked
), renewed as (
  update reveille.leader l set until = now() + w.lost_after from w, led where l.name = led.name returning l.name
)
select clock_timestamp(), i.known, i.lost, l.lease, l.ids, l.cancels, i.suspects, i.leads, i.vacant
from (
  select exists (select from w) as known,
    exists (select from reveille.worker o where o.id <> $1::uuid and o.heartbeat_at < now() - o.lost_after
      and pg_postmaster_start_time() < now() - o.lost_after)
    or exists (select from reveille.lease l where not exists (select from reveille.worker o where o.id = l.worker)) as lost,
    exists (select from reveille.ready where crashes >= 2) as suspects,
    exists (select from renewed)
    or exists (select from reveille.leader l where l.worker = $1::uuid and l.until > now() and not $3::boolean) as leads,
    not exists (select from reveille.leader l where l.until >= now() and exists (select from reveille.worker o where o.id = l.worker))
      as vacant
) i
left join reveille.lease l on l.worker = $1::uuid
