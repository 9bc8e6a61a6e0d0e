-- It reckons as the planner does, but for all queues in one look: a plan for each took half a
-- millisecond.
create or replace function reveille.waiting_estimates(queues text[])
returns table (queue text, due double precision, later double precision)
language sql stable as $$
  with waiting as (
    select c.relname as place, greatest(c.reltuples, 0) * pg_relation_size(c.oid)
      / current_setting('block_size')::integer / greatest(c.relpages, 1) as jobs
    from pg_class c where c.oid in ('reveille.ready'::regclass, 'reveille.keyed'::regclass)
  ), stats as materialized (
    select s.tablename as place, s.attname, s.most_common_vals::text::text[] as common,
      s.most_common_freqs as shares, s.histogram_bounds::text::text[] as bounds, w.jobs,
      case when s.n_distinct < 0 then -s.n_distinct * w.jobs else s.n_distinct end as kinds,
      1 - coalesce((select sum(f) from unnest(s.most_common_freqs) f), 0) as rest
    from pg_stats s join waiting w on w.place = s.tablename
    where s.schemaname = 'reveille' and s.attname in ('queue', 'run_at')
  ), past as (
    select s.place, least(1,
      coalesce((
        select sum(c.share) from unnest(s.common, s.shares) c (at, share)
        where c.at::timestamptz <= now()
      ), 0)
      + s.rest * coalesce((
        select avg((b::timestamptz <= now())::integer) from unnest(s.bounds) b
      ), 0)) as share
    from stats s where s.attname = 'run_at'
  ), each as (
    select s.place, n.name, s.jobs * coalesce(c.share,
      s.rest / greatest(s.kinds - coalesce(cardinality(s.common), 0), 1)) as jobs
    from stats s cross join unnest(queues) n (name)
    left join unnest(s.common, s.shares) c (name, share) on c.name = n.name
    where s.attname = 'queue'
  )
  select e.name, sum(round(e.jobs * p.share)), sum(round(e.jobs * (1 - p.share)))
  from each e join past p on p.place = e.place
  group by e.name
$$;

comment on function reveille.waiting_estimates is
  'How many jobs wait in these queues, due and to come, by the statistics alone.';
revoke all on function reveille.waiting_estimates from public;
