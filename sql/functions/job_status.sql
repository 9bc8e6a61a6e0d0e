create or replace function reveille.job_status(id uuid) returns text
language sql volatile as $$
  select coalesce(
    (select case when r.run_at > clock_timestamp() then 'scheduled' else 'queued' end
      from reveille.waiting r where r.id = $1),
    (select o.state::text from reveille.outcome o where o.id = $1),
    (select 'processing' from reveille.lease l where $1 = any (l.ids) limit 1))
$$;

comment on function reveille.job_status is
  'The status of a job by the table that holds it; null if none does.';
revoke all on function reveille.job_status from public;
