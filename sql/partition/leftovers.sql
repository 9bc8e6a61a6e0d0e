-- week date. Forgets what is not partitioned of the jobs of a week that is gone. A key that
-- somebody has locked stays, and counts as free.
with w as (
  delete from reveille.week where number = reveille.week_number($1::date::timestamp at time zone 'UTC')
), p as (
  delete from reveille.progress where id >= reveille.week_floor($1::date) and id < reveille.week_floor($1::date + 7)
), s as (
  delete from reveille.superseded where id >= reveille.week_floor($1::date) and id < reveille.week_floor($1::date + 7)
), k as materialized (
  select u.id from reveille.unique_key u
  where u.id >= reveille.week_floor($1::date) and u.id < reveille.week_floor($1::date + 7) for update skip locked
)
delete from reveille.unique_key x where x.id = any (array(select k.id from k))
