-- ids uuid[]. Takes the unique keys of these jobs, each if nobody else holds it. Answers the holder
-- of each; null if the key is locked.
select k.id, k.holder from reveille.keys_taken($1::uuid[]) k
