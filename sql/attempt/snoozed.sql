-- ids uuid[], times bigint. The jobs among these that have snoozed so many times.
select s.id from reveille.snoozes($1::uuid[]) s where s.nth = 1 and s.total >= $2::bigint
