-- release int, names and checksums text[]: the files of sql/functions that the schema has now, and
-- no others.
with gone as (
  delete from reveille.definition d where d.name <> all ($2::text[])
)
insert into reveille.definition as d (name, release, checksum)
select n.name, $1::integer, n.checksum from unnest($2::text[], $3::text[]) n (name, checksum)
on conflict (name) do update set release = excluded.release, checksum = excluded.checksum
