-- The migrations that were applied, and the checksums of their texts.
select version, checksum from reveille.migration order by version
