-- queues text[], keys text[]. The places, from 1, of those keys that somebody has locked.
select h.nth from reveille.keys_held($1::text[], $2::text[]) h (nth)
