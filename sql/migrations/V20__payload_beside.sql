-- Looking up its row in `job` was a quarter of what claiming a job costs. Many payloads are small, and the service's own submissions
-- without a key write a small one beside the row that waits, too, which the claim reads anyway. It costs them those bytes once more.
alter table reveille.ready add column payload jsonb;
comment on column reveille.ready.payload is 'That of the job, if it is small and the claim needs nothing else of the job: no max_attempts, timeout_seconds or unique_key of its own. Null: look there. Only a first wait has it. Whoever changes any of these of a waiting job sets this to null.';
