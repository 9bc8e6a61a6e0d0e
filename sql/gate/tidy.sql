-- Forgets the queues of which no key waits or runs. One that is being swept stays.
delete from reveille.sweeper x
where x.queue = any (array(
  select s.queue from reveille.sweeper s
  where not exists (select from reveille.keyed k where k.queue = s.queue)
    and not exists (select from reveille.gate g where g.queue = s.queue)
  for update skip locked
))
