-- ids uuid[]. Which of these jobs have ended. One by one, so that each is looked for in its own
-- partition only.
select o.id from unnest($1::uuid[]) i (id) cross join lateral (select o.id from reveille.outcome o where o.id = i.id limit 1) o
