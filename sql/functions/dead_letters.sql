-- For people: it reads every failed job. GET /dead-letters reads a bounded number of them.
create or replace view reveille.dead_letters as
select j.task, j.queue, o.family, o.error ->> 'code' as code, count(*) as jobs,
  min(o.ended_at) as first_failed_at, max(o.ended_at) as last_failed_at,
  (array_agg(o.id order by o.ended_at desc))[1] as example_job_id,
  (array_agg(o.error order by o.ended_at desc))[1] as error
from reveille.outcome o
join reveille.job j on j.id = o.id
where o.state = 'failed'
group by j.task, j.queue, o.family, o.error ->> 'code';

comment on view reveille.dead_letters is
  'The jobs that failed for good, grouped by task, queue and the way they failed.';
comment on column reveille.dead_letters.task is 'Their task.';
comment on column reveille.dead_letters.queue is 'Their queue.';
comment on column reveille.dead_letters.family is
  'The failure family, which GET /dead-letters writes as 16 hexadecimal digits. Null until the '
  'leader has found it out.';
comment on column reveille.dead_letters.code is 'The code of their errors.';
comment on column reveille.dead_letters.jobs is 'How many they are.';
comment on column reveille.dead_letters.first_failed_at is 'When the first of them failed.';
comment on column reveille.dead_letters.last_failed_at is 'When the last of them failed.';
comment on column reveille.dead_letters.example_job_id is 'The one that failed last.';
comment on column reveille.dead_letters.error is 'The error of that job.';
revoke all on reveille.dead_letters from public;
