-- The gate to begin behind: queue text, key text; the most bigint. Looks for gates that have a turn to
-- give, which nobody was told of: a worker died after it had settled, or the queue gives more turns
-- now. Notes them to be looked at. Answers how many, and the last gate that it came to.
with l as materialized (
  select g.queue, g.key, g.holders from reveille.gate g
  where (g.queue, g.key) > ($1::text, $2::text) order by g.queue, g.key limit $3::bigint
), f as materialized (
  select l.queue, l.key from l
  where not exists (select from reveille.freed x where x.queue = l.queue and x.key = l.key)
    and (exists (
      select from unnest(l.holders) h (id)
      where not reveille.has_turn(h.id, l.key))
    or cardinality(l.holders) < coalesce((
        select (q.settings ->> 'per_key_concurrency')::integer from reveille.queue q
        where q.name = l.queue), 1)
      and (l.holders = '{}' or exists (
        select from reveille.keyed k
        where k.queue = l.queue and k.key = l.key and k.run_at <= now())))
), noted as (
  insert into reveille.freed (queue, key, wakes)
  select f.queue, f.key, (row_number() over (partition by f.queue) = 1)::integer from f
)
select (select count(*) from f) as noted, z.queue, z.key
from (select) one left join lateral (
  select l.queue, l.key from l order by l.queue desc, l.key desc limit 1
) z on true
