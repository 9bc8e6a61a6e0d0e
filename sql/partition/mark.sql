-- number of a week int, whether its partitions are going to be removed boolean.
update reveille.week set removing_since = case when $2::boolean then coalesce(removing_since, now()) end where number = $1::integer
