-- Leases, uuid[]. Answers those of them that another transaction has locked.
with free as materialized (
  select lease from reveille.lease where lease = any ($1::uuid[]) for update skip locked
)
select x.lease from reveille.lease x
where x.lease = any ($1::uuid[]) and not exists (select from free where free.lease = x.lease)
