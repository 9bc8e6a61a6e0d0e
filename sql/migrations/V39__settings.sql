-- Rare settings of a job lie in one column, which is null for most jobs. What a claim filters or
-- orders by has a column of its own.
alter table reveille.job add column settings jsonb;
comment on column reveille.job.settings is
  'Rare settings by the names that they have over HTTP; null without any.';
comment on column reveille.ready.payload is
  'That of the job, if it is small and the claim needs nothing else of the job: it has no '
  'max_attempts, timeout_seconds, unique_key or settings of its own. Null: look there. Only a first '
  'wait has it. Changing any of these of a waiting job sets this to null.';
