-- Nothing of a stranger's schema is ever called. A function that acts for another role than its caller's, as SECURITY DEFINER and
-- triggers do, brings its own search_path. One that a view calls has a body that is bound here. Helpers have neither: a function
-- with a SET clause is not inlined, and pinned helpers cost `submit_many` four fifths of its rate. They take the path of who
-- calls them, which is one of these functions or the service, and nobody but the owner may call them.
--
-- No text has a backslash: with standard_conforming_strings = off it would vanish from the literal.

-- From PostgreSQL 18 on a deferred trigger runs as the role that queued it (that of `submit`), with the path of who commits.
alter function reveille.wake() set search_path = pg_catalog, pg_temp;
alter function reveille.submit(text, jsonb, text, integer, timestamptz, double precision, integer, double precision, text[], text, text)
  set search_path = pg_catalog, pg_temp;
alter function reveille.submit_many(jsonb) set search_path = pg_catalog, pg_temp;

create or replace function reveille.uuid7_time(id uuid) returns timestamptz
language sql immutable parallel safe
return to_timestamp((('x' || translate(left(id::text, 13), '-', ''))::bit(48)::bigint) / 1000.0);

create or replace function reveille.moment(value text) returns timestamptz
language plpgsql immutable strict as $$
declare
  part text[] := regexp_match(value, '^([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]((?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:[.][0-9]+)?)'
    '(?:[Zz]|([+-])((?:[01][0-9]|2[0-3]):[0-5][0-9]))$');
begin
  return (part[1] || ' ' || part[2])::timestamp at time zone 'UTC'
    - (coalesce(part[3], '+') || coalesce(part[4], '00:00'))::interval;
exception when datetime_field_overflow or invalid_datetime_format then
  return null;
end $$;

create or replace view reveille.partition as
select c.oid as oid, c.relname::text as name, substring(c.relname from '^[a-z]+') as parent,
  to_date(right(c.relname, 7), 'IYYY"w"IW') as week
from pg_class c
where c.relnamespace = 'reveille'::regnamespace and c.relkind = 'r' and c.relname ~ '^(job|outcome|attempt)_[0-9]{4}w[0-9]{2}$';

create or replace function reveille.partition_tune(name text) returns void
language plpgsql as $$
begin
  execute format('alter table reveille.%I set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, '
    'autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_cost_limit = 2000, vacuum_truncate = off)', name);
end $$;

create or replace function reveille.partition_ensure(weeks integer default 3) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
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
      name := reveille.partition_name(parent, week);
      if to_regclass('reveille.' || name) is null then
        execute format('create table reveille.%I (like reveille.%I including all)', name, parent);
        perform reveille.partition_tune(name);
        execute format('alter table reveille.%I attach partition reveille.%I for values from (%L) to (%L)',
          parent, name, reveille.uuid7_floor(week), reveille.uuid7_floor(week + interval '7 days'));
      end if;
    end loop;
  end loop;
end $$;

create or replace function reveille.partition_expired(completed_before timestamptz, unwell_before timestamptz) returns setof date
language plpgsql stable set enable_seqscan = off set enable_bitmapscan = off as $$
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
