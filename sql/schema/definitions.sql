-- The files of sql/functions that were applied.
select name, release, checksum from reveille.definition
