-- The rights of the role: to make the schema, change it, and use its tables.
select has_database_privilege(current_database(), 'create') as may_create,
       coalesce((select pg_has_role(nspowner, 'usage') from pg_namespace where nspname = 'reveille'), false) as owns_schema,
       coalesce((select bool_and(has_table_privilege(c.oid, 'select, insert, update, delete'))
                   from pg_class c join pg_namespace n on n.oid = c.relnamespace
                  where n.nspname = 'reveille' and c.relkind in ('r', 'p')
                    and has_schema_privilege(n.oid, 'usage')), false) as may_use
