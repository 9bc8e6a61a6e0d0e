-- leases uuid[], ids uuid[], fractions float8[], messages text[]. The last word of handlers whose
-- lease still holds the job.
insert into reveille.progress (id, fraction, message)
select u.id, u.fraction, u.message
from unnest($1::uuid[], $2::uuid[], $3::double precision[], $4::text[]) u (lease, id, fraction, message)
where exists (select from reveille.lease l where l.lease = u.lease and u.id = any (l.ids))
order by u.id
on conflict (id) do update set updated_at = now(), fraction = excluded.fraction, message = excluded.message
