-- jobs jsonb: a list of one. Submits within a transaction of an application, whose role has EXECUTE
-- on this function and on nothing else.
select 1::bigint as nth, job_id, status, outcome from reveille.submit_many($1::jsonb)
