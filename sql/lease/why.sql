-- ids uuid[]. Which of these jobs have ended: the outcome of an attempt at one of them came too late, and of the others its
-- lease was lost.
select o.id from reveille.outcome o where o.id = any ($1::uuid[])
