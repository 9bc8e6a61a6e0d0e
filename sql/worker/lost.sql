-- Workers that stopped answering, and those that are gone but whose leases are still here.
select o.id from reveille.worker o
where o.heartbeat_at < now() - o.lost_after and pg_postmaster_start_time() < now() - o.lost_after
union
select l.worker from reveille.lease l where not exists (select from reveille.worker o where o.id = l.worker)
