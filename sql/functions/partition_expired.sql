-- This week and the last one are never among them, since those are made ahead. STABLE means one
-- snapshot for all of it: a job that moves is in exactly one of its places at each moment.
create or replace function reveille.partition_expired(
  completed_before timestamptz, unwell_before timestamptz
) returns setof date
language plpgsql stable
set enable_seqscan = off
set enable_bitmapscan = off as $$
declare
  monday date;
  outcomes text;
  least uuid;
  beyond uuid;
  kept boolean;
begin
  for monday in
    select distinct p.week from reveille.partition p
    where p.week < (date_trunc('week', now() at time zone 'UTC') - interval '7 days')::date
    order by 1
  loop
    least := reveille.week_floor(monday);
    beyond := reveille.week_floor(monday + 7);
    continue when exists (select from reveille.waiting r where r.id >= least and r.id < beyond)
      or exists (select from reveille.lease l cross join lateral unnest(l.ids) h (id)
        where h.id >= least and h.id < beyond);
    select p.name into outcomes from reveille.partition p
      where p.parent = 'outcome' and p.week = monday;
    if found then
      execute format(
        'select exists (select from reveille.%1$I where state = ''completed'' and ended_at >= $1)
           or exists (select from reveille.%1$I where state = ''failed'' and ended_at >= $2)
           or exists (select from reveille.%1$I where state = ''cancelled'' and ended_at >= $2)',
        outcomes) into kept using completed_before, unwell_before;
      continue when kept;
    end if;
    return next monday;
  end loop;
end $$;

comment on function reveille.partition_expired is
  'The weeks of which nothing waits, runs or is kept any longer, the oldest first.';
revoke all on function reveille.partition_expired from public;
