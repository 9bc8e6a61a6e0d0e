-- A word to ourselves.
select pg_notify('reveille_doctor', $1)
