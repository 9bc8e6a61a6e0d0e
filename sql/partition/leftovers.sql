-- week date. Forgets what is not partitioned of the jobs of a week that is gone.
with p as (
  delete from reveille.progress where id >= reveille.week_floor($1::date) and id < reveille.week_floor($1::date + 7)
)
delete from reveille.unique_key where id >= reveille.week_floor($1::date) and id < reveille.week_floor($1::date + 7)
