-- principal text, the most to count, bigint. How many answers are kept for it.
select count(*) from (select from reveille.idempotency i where i.principal = $1::text limit $2::bigint) c
