-- Functions and views are files in sql/functions from here on. What the migrations before this one say of them is history.

create table reveille.definition (
  name     text collate "C" primary key,
  release  integer not null,
  checksum text not null
);
comment on table reveille.definition is 'The files of functions and views that were applied.';
comment on column reveille.definition.release is
  'The number of the release that applied it. A release with a lower number changes nothing.';
comment on column reveille.definition.checksum is 'The SHA-256 of its text.';
revoke all on reveille.definition from public;
