-- Where this session looks for names, and whose setting that is. Every name here is qualified,
-- because the answer may be: anywhere.
select pg_catalog.current_setting('search_path'), pg_catalog.quote_ident(current_user),
  pg_catalog.quote_ident(pg_catalog.current_database())
