-- ids uuid[]. Frees the keys of those of these jobs that have ended, without waiting for anybody.
-- Answers those whose keys are locked: they are to be tried again.
select f.id from reveille.key_free($1::uuid[]) f (id)
