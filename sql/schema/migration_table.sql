-- Where the applied migrations are kept, as every release has made it.
create table if not exists reveille.migration (
  version integer primary key,
  name varchar(255),
  applied_on varchar(255),
  checksum varchar(255)
)
