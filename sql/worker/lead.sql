-- worker uuid. Takes over the leadership of the maintenance services, if it has run out or its
-- leader has left. Answers whether the worker leads. It waits for nobody who has locked the row.
with w as (
  select id, lost_after from reveille.worker where id = $1::uuid
), free as (
  select l.name from reveille.leader l
  where l.name = 'maintenance' and (l.until < now() or not exists (select from reveille.worker o where o.id = l.worker))
  for update of l skip locked
), taken as (
  update reveille.leader l set worker = w.id, until = now() + w.lost_after from w, free where l.name = free.name returning l.name
), first as (
  insert into reveille.leader (name, worker, until)
  select 'maintenance', w.id, now() + w.lost_after from w where not exists (select from reveille.leader)
  on conflict (name) do nothing returning name
)
select exists (select from taken) or exists (select from first)
