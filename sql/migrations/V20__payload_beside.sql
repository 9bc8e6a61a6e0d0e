-- Looking up its row in `job` was a quarter of what claiming a job costs. Most payloads are small, so a small one is also written
-- beside the row that waits, which the claim reads anyway.
alter table reveille.ready add column payload jsonb;
comment on column reveille.ready.payload is 'That of the job, if it is small and the claim needs nothing else of the job: no max_attempts, timeout_seconds or unique_key of its own. Null: look there. Only a first wait has it; whoever changes the payload of a waiting job sets it to null.';
