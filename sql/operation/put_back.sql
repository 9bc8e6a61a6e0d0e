-- ids uuid[], when each may start timestamptz[]. Sends failed jobs back to wait, and tells which.
select b.id from reveille.jobs_put_back($1::uuid[], $2::timestamptz[], now()) b (id)
