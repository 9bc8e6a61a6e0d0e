-- Whether a suspect waits, and since when it is due. Null: none.
select min(run_at) from (select run_at from reveille.ready where crashes >= 2 order by run_at, id limit 1) s
