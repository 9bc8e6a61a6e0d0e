-- One family is walked along its index, anything else along that of all jobs that did not complete.
-- Each job is looked at by its id, so that a filter which fits few costs no more than one which
-- fits all.
create or replace function reveille.dead_letters_from(
  queue text, task text, code text, family bigint, failed_after timestamptz,
  failed_before timestamptz, above uuid, bound uuid, known_at timestamptz, most bigint
) returns table (id uuid, fits boolean, task_name text, keyed boolean)
language sql stable as $$
  select w.id,
    coalesce(j.id is not null and o.state = 'failed' and o.ended_at <= $9
      and ($4 is null or o.family = $4)
      and ($5 is null or o.ended_at >= $5) and ($6 is null or o.ended_at < $6)
      and ($3 is null or o.error ->> 'code' = $3)
      and ($1 is null or j.queue = $1) and ($2 is null or j.task = $2), false),
    j.task, j.unique_key is not null
  from (
    (select x.id from reveille.outcome x
     where $4 is not null and x.state = 'failed' and x.family = $4 and x.id > $7 and x.id <= $8
     order by x.id limit $10)
    union all
    (select x.id from reveille.outcome x
     where $4 is null and x.state <> 'completed' and x.id > $7 and x.id <= $8
     order by x.id limit $10)
  ) w
  cross join lateral (select * from reveille.outcome x where x.id = w.id limit 1) o
  left join lateral (select * from reveille.job x where x.id = w.id limit 1) j on true
$$;

comment on function reveille.dead_letters_from is
  'Jobs that did not complete, from an id on, and whether a redrive with this filter is about '
  'them.';
revoke all on function reveille.dead_letters_from from public;
