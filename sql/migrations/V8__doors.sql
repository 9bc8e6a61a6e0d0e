-- What a task says of its retries, for those who ask; null where the service that registered it did not say.
alter table reveille.task add column retry jsonb;
comment on column reveille.task.retry is 'base_seconds, factor, max_seconds and jitter of the back-off between its attempts.';
