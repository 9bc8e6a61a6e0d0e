-- most int. Ends waiting jobs whose time is over, of as many as may be due; nobody is waited for.
-- Answers them with their queues, tasks and errors. Their keys are to be freed afterwards.
select e.id, e.queue, e.task, e.error from reveille.expire($1::integer) e
