-- The suspect that has run longest. Each has a lease of its own.
select l.ids[1] as id from reveille.lease l where l.crashes[1] >= 2 order by l.claimed_at limit 1
