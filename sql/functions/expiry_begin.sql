create or replace function reveille.expiry_begin(ids uuid[], settingss jsonb[]) returns void
language plpgsql as $$
declare
  moment timestamptz := clock_timestamp();
begin
  insert into reveille.expiry as e (id, since, at)
  select u.id, moment, reveille.expiry_at(moment, u.settings)
  from unnest(ids, settingss) u (id, settings)
  where reveille.is_timed(u.settings)
  on conflict (id) do update set since = excluded.since, at = excluded.at;
end $$;

comment on function reveille.expiry_begin is
  'The content of these jobs is accepted: their limits count from now. Others are passed by.';
revoke all on function reveille.expiry_begin from public;
