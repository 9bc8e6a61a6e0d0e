-- names text[], values text[]: settings of the session.
select set_config(s.name, s.value, false) from unnest($1::text[], $2::text[]) s (name, value)
