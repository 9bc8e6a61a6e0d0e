-- Errors of earlier lives stay, and so do attempts.
create or replace function reveille.life_begin(ids uuid[]) returns void
language plpgsql as $$
begin
  perform reveille.expiry_begin(array_agg(j.id), array_agg(j.settings))
  from reveille.jobs_found(ids) j where reveille.is_timed(j.settings);
  -- A limit of the queue counts from here. The statement is planned only where there is one, since
  -- it names every week.
  if exists (
    select from reveille.queue q where q.settings_at is not null and q.settings ? 'deadline_seconds'
  ) then
    update reveille.job j set run_at = now() from reveille.queue q
      where j.id = any (ids) and q.name = j.queue and q.settings ? 'deadline_seconds';
  end if;
  perform reveille.snoozes_begin(ids);
end $$;

comment on function reveille.life_begin is
  'What begins anew with jobs that have ended and are sent back: time limits, and how often they may '
  'snooze.';
revoke all on function reveille.life_begin from public;
