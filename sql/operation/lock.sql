-- id uuid. Ends are told to those who wait, so the step is on disk before. An operation that has not ended and is to begin, for one step. No row: it has ended, or
-- another leader works on it.
select o.*, clock_timestamp() as now, set_config('synchronous_commit', 'on', true) from reveille.operation o
where o.id = $1::uuid and o.stopped_at is null and o.starts_at <= clock_timestamp()
for update skip locked
