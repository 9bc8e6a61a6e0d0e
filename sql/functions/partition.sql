-- A table is also what an interrupted removal left of a partition.
create or replace view reveille.partition as
select c.oid as oid, c.relname::text as name, substring(c.relname from '^[a-z]+') as parent,
  to_date(right(c.relname, 7), 'IYYY"w"IW') as week
from pg_class c
where c.relnamespace = 'reveille'::regnamespace and c.relkind = 'r'
  and c.relname ~ '^(job|outcome|attempt)_[0-9]{4}w[0-9]{2}$';

comment on view reveille.partition is 'The tables of each week, by the Monday it begins with.';
comment on column reveille.partition.oid is 'The table.';
comment on column reveille.partition.name is 'Its name.';
comment on column reveille.partition.parent is 'job, outcome or attempt.';
comment on column reveille.partition.week is 'The Monday that its week begins with.';
revoke all on reveille.partition from public;
