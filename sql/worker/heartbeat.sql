-- worker uuid, running jobs int, draining boolean. Renews the worker. Answers one row, or one for each lease it holds: the
-- database's time, whether the worker is still known, whether anybody is to be rescued, the lease, and whether suspects wait.
-- After an outage nobody has had a chance to send a heartbeat: nobody is lost until the server has been up long enough.
with w as (
  update reveille.worker set heartbeat_at = clock_timestamp(), running = $2::integer, draining = $3::boolean where id = $1::uuid
  returning id
)
select clock_timestamp(), i.known, i.lost, l.lease, l.ids, l.cancels, i.suspects
from (
  select exists (select from w) as known,
    exists (select from reveille.worker o where o.id <> $1::uuid and o.heartbeat_at < now() - o.lost_after
      and pg_postmaster_start_time() < now() - o.lost_after)
    or exists (select from reveille.lease l where not exists (select from reveille.worker o where o.id = l.worker)) as lost,
    exists (select from reveille.ready where crashes >= 2) as suspects
) i
left join reveille.lease l on l.worker = $1::uuid
