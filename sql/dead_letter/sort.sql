-- ids uuid[], families bigint[]. Gives jobs that failed their families. A job that was sent back
-- meanwhile has no row, or one that another statement wrote.
update reveille.outcome x set family = u.family
from unnest($1::uuid[], $2::bigint[]) u (id, family)
where x.id = u.id and x.state = 'failed' and x.family is null
