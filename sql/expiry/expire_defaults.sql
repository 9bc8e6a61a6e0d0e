-- most int. As expire, by the limits that queues give to jobs that have none of their own.
select e.id, e.queue, e.task, e.error from reveille.expire_defaults($1::integer) e
