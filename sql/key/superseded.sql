-- ids uuid[]. Those of these jobs that do not wait again, and the job that took the unique key of
-- each.
select s.id, s.replacement from reveille.superseded s where s.id = any ($1::uuid[])
