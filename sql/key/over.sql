-- The most keys, bigint. Frees those whose window is over, unless their jobs go on. Answers how
-- many windows were over.
select reveille.keys_over($1::bigint)
