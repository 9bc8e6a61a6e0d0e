-- id uuid, name, version, host text, pid int, lost after (seconds) float8, slots int, queues text[]
-- (null: all), tasks text[]. Once more where the answer was lost is as a heartbeat.
insert into reveille.worker (id, name, version, host, pid, lost_after, slots, queues, tasks)
values ($1::uuid, $2::text, $3::text, $4::text, $5::integer, $6::double precision * interval '1 second', $7::integer, $8::text[], $9::text[])
on conflict (id) do update set heartbeat_at = clock_timestamp()
