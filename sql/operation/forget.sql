-- seconds float8. Forgets operations that ended so long ago.
delete from reveille.operation o
where o.stopped_at < now() - $1::double precision * interval '1 second'
