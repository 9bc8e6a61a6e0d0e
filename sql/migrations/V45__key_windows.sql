-- A unique key may outlive its job, and new content may be put off for so long only.
alter table reveille.unique_key add column until timestamptz, add column first_at timestamptz;
create index unique_key_until on reveille.unique_key (until) where until is not null;
comment on column reveille.unique_key.until is
  'Until then the key stays taken although its job has completed. Null: not beyond the end of the '
  'job. A service of the release before frees such a key with the job that it forgets.';
comment on column reveille.unique_key.first_at is
  'From when on debounce_max_seconds counts: the first submission with it since the job last began.';
