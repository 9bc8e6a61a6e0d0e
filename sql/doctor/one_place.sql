-- Every job is in exactly one place: it waits (in one place of all), it runs (lease), or it has ended (outcome).
with place as (
  select id from reveille.waiting
  union all select unnest(ids) from reveille.lease
  union all select id from reveille.outcome
), held as (
  select id, count(*) as places from place group by id
)
select count(job.id) as jobs,
       count(*) filter (where held.id is null) as nowhere,
       count(*) filter (where held.places > 1) as several,
       count(*) filter (where job.id is null) as strangers
  from reveille.job full join held on held.id = job.id
