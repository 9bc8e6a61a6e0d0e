-- Whether jobs could be accepted: the server answers, and it takes writes.
select pg_is_in_recovery() or current_setting('transaction_read_only')::boolean
