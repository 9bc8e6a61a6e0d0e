-- id uuid (null: all), below which uuid (null: all), the most bigint. Operations, the newest first.
select o.*, now() as now from reveille.operation o
where ($1::uuid is null or o.id = $1::uuid) and ($2::uuid is null or o.id < $2::uuid)
order by o.id desc limit $3::bigint
