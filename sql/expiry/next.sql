-- In how many seconds the next job is to be looked at; null: there is none.
select extract(epoch from min(e.at) - clock_timestamp())::double precision from reveille.expiry e
