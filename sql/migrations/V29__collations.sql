-- Nothing depends on how the database sorts text. A new version of its collation (an upgrade of the system's libc or ICU)
-- sorts otherwise under the same name, and an index that was built before then misses what it holds: held keys were given
-- away twice. Text in indexes is compared byte by byte from here on.

-- What such an index has already let in twice would stop its being built anew. The newest row of a key stays. The others are
-- looked for without an index, and the service logs how many there were.
do $$
declare
  gone bigint;
begin
  perform set_config(name, 'off', true) from unnest(array['enable_indexscan', 'enable_indexonlyscan', 'enable_bitmapscan']) name;
  lock table reveille.unique_key, reveille.task in access exclusive mode;
  with same as (
    select k.ctid as place, row_number() over (partition by k.queue collate "C", k.key collate "C" order by k.id desc) as nth
    from reveille.unique_key k
  )
  delete from reveille.unique_key k using same where k.ctid = same.place and same.nth > 1;
  get diagnostics gone = row_count;
  perform set_config('reveille.keys_held_twice', gone::text, false);
  with same as (
    select t.ctid as place, row_number() over (partition by t.name collate "C" order by t.updated_at desc) as nth from reveille.task t
  )
  delete from reveille.task t using same where t.ctid = same.place and same.nth > 1;
end $$;

alter table reveille.unique_key alter column queue type text collate "C", alter column key type text collate "C";
alter table reveille.leader alter column name type text collate "C";

-- The view of jobs reads this column, so it gives way meanwhile. It is replaced and not dropped, since people have grants on it
-- and views over it.
do $$
declare
  known text := pg_get_viewdef('reveille.jobs'::regclass);
  options text := (select ' with (' || array_to_string(c.reloptions, ', ') || ')' from pg_class c where c.oid = 'reveille.jobs'::regclass);
  stand_in text := (
    select string_agg(format('null::%s%s as %I', format_type(a.atttypid, a.atttypmod),
      (select format(' collate %I.%I', n.nspname, l.collname) from pg_collation l join pg_namespace n on n.oid = l.collnamespace
       where l.oid = a.attcollation), a.attname), ', ' order by a.attnum)
    from pg_attribute a where a.attrelid = 'reveille.jobs'::regclass and a.attnum > 0
  );
begin
  execute format('create or replace view reveille.jobs%s as select %s', options, stand_in);
  alter table reveille.task alter column name type text collate "C";
  execute format('create or replace view reveille.jobs%s as %s', options, known);
end $$;

-- Beside the indexes that services of earlier releases use.
create index job_tags_bytes on reveille.job using gin (tags collate "C") where tags is not null;
create index job_unique_key_bytes on reveille.job (unique_key collate "C", id) where unique_key is not null;
