-- id uuid. Of a job that waits for its key: a job that has a turn (null: none has one), and when that
-- one is tried again (null: it is not known to wait).
select u.id as holder, r.run_at
from reveille.keyed k
left join reveille.gate g on g.queue = k.queue and g.key = k.key
left join lateral (select h.id from unnest(g.holders) with ordinality h (id, nth) order by h.nth limit 1) u on true
left join reveille.ready r on r.id = u.id and r.run_at > now()
where k.id = $1::uuid
