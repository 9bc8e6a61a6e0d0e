-- operation uuid. A stage of its canary is over, or the operation is.
delete from reveille.canary where operation = $1::uuid
