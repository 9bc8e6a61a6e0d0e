-- operation uuid, ids uuid[]. These jobs decide how the canary of the operation goes on.
insert into reveille.canary (operation, id) select $1::uuid, u.id from unnest($2::uuid[]) u (id)
