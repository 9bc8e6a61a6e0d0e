-- version int, name, applied_on and checksum text.
insert into reveille.migration (version, name, applied_on, checksum) values ($1::integer, $2::text, $3::text, $4::text)
