-- ids uuid[]. Forgets the limits of those of these jobs that have ended since they were set. A limit
-- that is never forgotten does no harm: it is found when it is over.
delete from reveille.expiry x
where x.id = any (array(
  select e.id from reveille.expiry e
  where e.id = any ($1::uuid[])
    and (select o.ended_at >= e.since from reveille.outcome o where o.id = e.id)
  for update skip locked
))
