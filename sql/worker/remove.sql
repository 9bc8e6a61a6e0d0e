-- worker uuid. Forgets a worker. If it led, whoever sends the next heartbeat leads.
delete from reveille.worker where id = $1::uuid
