-- id uuid. An operation that has not ended and is to begin, for one step. No row: it has ended, or
-- another leader is about it.
select o.*, clock_timestamp() as now from reveille.operation o
where o.id = $1::uuid and o.stopped_at is null and o.starts_at <= clock_timestamp()
for update skip locked
