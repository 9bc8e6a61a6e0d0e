-- Errors of earlier lives stay, and so do attempts. Of the snoozes the last one says that none counts
-- any more.
create or replace function reveille.life_begin(ids uuid[]) returns void
language plpgsql as $$
begin
  perform reveille.expiry_begin(array_agg(j.id), array_agg(j.settings))
  from reveille.jobs_found(ids) j where j.settings ?| '{queue_ttl_seconds,deadline_seconds}';
  update reveille.attempt x
  set error = jsonb_build_object('code', 'snoozed', 'message',
    coalesce(x.error ->> 'message', 'the job was sent back later'),
    'count', case s.nth when 1 then 0 end)
  from reveille.snoozes(ids) s
  where x.id = s.id and x.lease = s.lease and (s.nth = 1 or x.error ? 'count');
end $$;

comment on function reveille.life_begin is
  'What begins anew with jobs that have ended and are sent back: time limits, and how often they may '
  'snooze.';
revoke all on function reveille.life_begin from public;
