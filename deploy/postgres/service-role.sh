#!/bin/sh
# Run by the image of PostgreSQL when it sets up a new volume. Makes the role of the service, which is no superuser and owns
# nothing but its schema. Who can act as the service cannot act as the server then.
set -eu
psql --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" <<'END'
\getenv password POSTGRES_PASSWORD
\getenv superuser POSTGRES_USER
create role reveille login password :'password';
create schema reveille authorization reveille;
-- Without a password the superuser gets in only from inside the container.
alter role :"superuser" password null;
END
