-- The snoozes stay in the history of their job. The last one says that none counts any more.
create or replace function reveille.snoozes_begin(ids uuid[]) returns void
language plpgsql as $$
begin
  update reveille.attempt x
  set error = jsonb_build_object('code', 'snoozed', 'message',
    coalesce(x.error ->> 'message', 'the job was sent back later'),
    'count', case s.nth when 1 then 0 end)
  from reveille.snoozes(ids) s
  where x.id = s.id and x.lease = s.lease and (s.nth = 1 or x.error ? 'count');
end $$;

comment on function reveille.snoozes_begin is
  'These jobs may snooze as often as new ones: their content was accepted anew.';
revoke all on function reveille.snoozes_begin from public;
