-- id uuid. Sends a job that has ended back to wait, with fresh attempts; how it had ended goes to
-- its history. Answers whether it did, and who holds its unique key instead (null: nobody). It also
-- answers whether the job has a key, which it holds now even if it was not sent back.
with t as materialized (
  select j.*, case when j.unique_key is not null then reveille.key_take(j.queue, j.unique_key, j.id) end as holder
  from (select x.* from reveille.job x where x.id = $1::uuid and exists (select from reveille.outcome o where o.id = x.id) limit 1) j
), back as materialized (
  select b.id from t cross join lateral reveille.jobs_put_back(array[t.id], array[now()], null) b (id)
  where t.holder is null or t.holder = t.id
)
select exists (select from back), (select t.holder from t where t.holder <> t.id),
  exists (select from t where t.holder = t.id)
