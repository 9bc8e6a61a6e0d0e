-- worker uuid. Forgets a worker, and that it led.
with l as (delete from reveille.leader where worker = $1::uuid)
delete from reveille.worker where id = $1::uuid
