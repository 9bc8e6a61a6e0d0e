-- role text. The statements that make this role and its schema, as far as they are not there.
select format('create role %I login', $1::text) as change where not exists (select from pg_roles where rolname = $1::text)
union all
select format('create schema reveille authorization %I', $1::text) where not exists (select from pg_namespace where nspname = 'reveille')
