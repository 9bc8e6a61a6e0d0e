-- Only a caller who finds a partition missing locks out the others, and looks again. Partitions are
-- attached, not created in place: that would lock out every reader and writer of the parent. There
-- is no default partition: it would block detaching, and what it already holds could not be split
-- off.
create or replace function reveille.partition_ensure(weeks integer default 3) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
  monday timestamptz := date_trunc('week', now() at time zone 'UTC') at time zone 'UTC';
  week timestamptz;
  parent text;
  name text;
begin
  if not exists (
    select from generate_series(-1, weeks) n (nth)
    cross join unnest(array['job', 'outcome', 'attempt']) p (name)
    where to_regclass('reveille.'
      || reveille.partition_name(p.name, monday + n.nth * interval '7 days')) is null
  ) then
    return;
  end if;
  lock table reveille.week in share row exclusive mode;
  for week in select monday + n.nth * interval '7 days' from generate_series(-1, weeks) n (nth) loop
    insert into reveille.week (number) values (reveille.week_number(week)) on conflict do nothing;
    foreach parent in array array['job', 'outcome', 'attempt'] loop
      name := reveille.partition_name(parent, week);
      if to_regclass('reveille.' || name) is null then
        execute format('create table reveille.%I (like reveille.%I including all)', name, parent);
        perform reveille.partition_tune(name);
        execute format('alter table reveille.%I attach partition reveille.%I '
          'for values from (%L) to (%L)', parent, name,
          reveille.uuid7_floor(week), reveille.uuid7_floor(week + interval '7 days'));
      end if;
    end loop;
  end loop;
end $$;

comment on function reveille.partition_ensure is
  'Makes the weekly partitions from last week to so many weeks ahead.';
revoke all on function reveille.partition_ensure from public;
