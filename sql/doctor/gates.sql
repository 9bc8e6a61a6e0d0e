-- Gates of which nothing runs or waits, and keys that are parked without a gate. Gates that are looked
-- at within seconds count too, so the caller asks again before it tells.
select (
    select count(*) from reveille.gate g
    where not exists (
        select from unnest(g.holders) h (id)
        where reveille.has_turn(h.id, g.key))
      and not exists (
        select from reveille.keyed k
        where k.queue = g.queue and k.key = g.key and k.run_at <= now())
  ) as idle,
  (
    select count(*) from reveille.keyed k
    where k.look = 0
      and not exists (select from reveille.gate g where g.queue = k.queue and g.key = k.key)
  ) as lost
