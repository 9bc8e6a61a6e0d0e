-- Keeping: finding jobs by their end, and letting old weeks go.

-- The ended jobs that are past their time, the oldest end first. Those of one settlement share their `ended_at`, so the entries
-- are merged and take a few bytes each. A walk by id needs no index, but a job that was created long ago may have ended just
-- now, and failed jobs are kept longer: it would pass by all of them again and again.
create index outcome_ended on reveille.outcome (state, ended_at);

-- How partitions are vacuumed. With a short retention the rows of this very week come and go, so vacuum has to follow soon, and
-- ten times as fast as usual. It does not truncate, because that locks out everybody for a moment; the space is used again, and goes with the
-- partition.
create function reveille.partition_tune(name text) returns void
language plpgsql set search_path = reveille, pg_temp as $$
begin
  execute format('alter table reveille.%I set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, '
    'autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_cost_limit = 2000, vacuum_truncate = off)', name);
end $$;

create or replace function reveille.partition_ensure(weeks integer default 3) returns void
language plpgsql security definer set search_path = reveille, pg_temp as $$
declare
  week timestamptz;
  parent text;
  name text;
begin
  perform pg_advisory_xact_lock(77, 1);
  for week in
    select generate_series(-1, weeks) * interval '7 days' + date_trunc('week', now() at time zone 'UTC') at time zone 'UTC'
  loop
    foreach parent in array array['job', 'outcome', 'attempt'] loop
      name := partition_name(parent, week);
      if to_regclass('reveille.' || name) is null then
        execute format('create table reveille.%I (like reveille.%I including all)', name, parent);
        perform partition_tune(name);
        execute format('alter table reveille.%I attach partition reveille.%I for values from (%L) to (%L)',
          parent, name, uuid7_floor(week), uuid7_floor(week + interval '7 days'));
      end if;
    end loop;
  end loop;
end $$;

-- The tables of a week: its partitions, and what is left of them when their removal was interrupted.
create view reveille.partition as
select c.oid as oid, c.relname::text as name, substring(c.relname from '^[a-z]+') as parent,
  to_date(right(c.relname, 7), 'IYYY"w"IW') as week
from pg_class c
where c.relnamespace = 'reveille'::regnamespace and c.relkind = 'r' and c.relname ~ '^(job|outcome|attempt)_\d{4}w\d\d$';
comment on view reveille.partition is 'The tables of each week, by the Monday it begins with.';

select reveille.partition_tune(name) from reveille.partition;

-- The least id of a week.
create function reveille.week_floor(week date) returns uuid
language sql immutable parallel safe as $$
  select reveille.uuid7_floor(week::timestamp at time zone 'UTC')
$$;

-- The week of an id, counted from that of 1970-01-01, and the number of a week that begins on a Monday.
create function reveille.week_number(at timestamptz) returns integer
language sql immutable parallel safe as $$
  select floor((extract(epoch from at) + 259200) / 604800)::integer
$$;

-- The weeks of which nothing waits, runs or is to be kept any longer, the oldest first. Neither this week nor the last one:
-- those are made ahead. One snapshot for all of it (stable), since a job that moves is in one of its places at each moment.
create function reveille.partition_expired(completed_before timestamptz, unwell_before timestamptz) returns setof date
language plpgsql stable set search_path = reveille, pg_temp set enable_seqscan = off set enable_bitmapscan = off as $$
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
    least := week_floor(monday);
    beyond := week_floor(monday + 7);
    continue when exists (select from reveille.ready r where r.id >= least and r.id < beyond)
      or exists (select from reveille.lease l cross join lateral unnest(l.ids) h (id) where h.id >= least and h.id < beyond);
    select p.name into outcomes from reveille.partition p where p.parent = 'outcome' and p.week = monday;
    if found then
      execute format('select exists (select from reveille.%1$I where state = ''completed'' and ended_at >= $1)
        or exists (select from reveille.%1$I where state = ''failed'' and ended_at >= $2)
        or exists (select from reveille.%1$I where state = ''cancelled'' and ended_at >= $2)', outcomes)
        into kept using completed_before, unwell_before;
      continue when kept;
    end if;
    return next monday;
  end loop;
end $$;

revoke all on reveille.partition from public;
revoke all on function reveille.partition_tune(text), reveille.week_floor(date), reveille.week_number(timestamptz),
  reveille.partition_expired(timestamptz, timestamptz) from public;
