-- Each request has a key and the jobs from a first to a last place. A key that was seen before is
-- answered as it was then, and locks and writes nothing. New keys are taken in their order, before
-- the unique keys of the jobs, so that two callers cannot deadlock. Jobs and answers are written in
-- one transaction. So none is without the other, whenever the caller or the service dies.
--
-- The outcome of a request whose key belongs to other jobs is `reused`. It is `busy` while another
-- transaction has the key, and `full` if the key is new and not `admitted`. A request of one job
-- that is `rejected` leaves no answer. A caller with several jobs undoes all of it then.
create or replace function reveille.submit_once(
  principals text[], paths text[], names text[], fingerprints bytea[], firsts integer[],
  lasts integer[], admitted boolean[], keep double precision,
  ids uuid[], queues text[], tasks text[], priorities smallint[], run_ats timestamptz[],
  payloads jsonb[], max_attemptss integer[], timeouts double precision[], tagss jsonb[],
  settingss jsonb[], keys text[], policies text[]
) returns table (
  place integer, nth bigint, job_id uuid, status text, outcome text, replayed boolean
)
language plpgsql as $$
#variable_conflict use_column
declare
  patience text := current_setting('lock_timeout');
  unseen integer[];
  fresh integer[] := '{}';
  one integer;
  places integer[];
  numbers bigint[];
begin
  select array_agg(u.place::integer order by u.principal, u.path, u.name) into unseen
  from unnest(principals, paths, names, admitted) with ordinality
    u (principal, path, name, admitted, place)
  where u.admitted and not exists (
    select from reveille.idempotency i
    where i.principal = u.principal and i.path = u.path and i.key = u.name
      and i.at > clock_timestamp() - keep * interval '1 second'
  );

  begin
    foreach one in array coalesce(unseen, '{}') loop
      if reveille.idempotency_take(principals[one], paths[one], names[one], fingerprints[one],
        ids[firsts[one]:lasts[one]], run_ats[firsts[one]:lasts[one]], keep)
      then
        fresh := fresh || one;
      end if;
    end loop;
  exception when lock_not_available then
    -- Somebody else has one of them. The others are not kept from their answer.
    fresh := '{}';
    perform set_config('lock_timeout', '1ms', true);
    foreach one in array unseen loop
      begin
        if reveille.idempotency_take(principals[one], paths[one], names[one], fingerprints[one],
          ids[firsts[one]:lasts[one]], run_ats[firsts[one]:lasts[one]], keep)
        then
          fresh := fresh || one;
        end if;
      exception when lock_not_available then null;
      end;
    end loop;
    perform set_config('lock_timeout', patience, true);
  end;

  if cardinality(fresh) < cardinality(names) then
    return query
      select u.place::integer, a.nth, a.id, a.status, a.outcome, i.fingerprint is not null
      from unnest(principals, paths, names, fingerprints, admitted) with ordinality
        u (principal, path, name, fingerprint, admitted, place)
      left join reveille.idempotency i
        on i.principal = u.principal and i.path = u.path and i.key = u.name
          and i.at > clock_timestamp() - keep * interval '1 second'
      cross join lateral (
        select a.nth, a.id, a.status, a.outcome
        from unnest(i.ids, i.statuses, i.outcomes) with ordinality a (id, status, outcome, nth)
        where i.fingerprint = u.fingerprint
        union all
        select 1::bigint, null::uuid, null::text, case when i.fingerprint is not null then 'reused'
          when u.admitted then 'busy' else 'full' end
        where i.fingerprint is distinct from u.fingerprint
      ) a
      where not u.place = any (fresh);
    if fresh = '{}' then return; end if;
  end if;

  select array_agg(f.place order by n.n),
    array_agg((n.n - firsts[f.place] + 1)::bigint order by n.n)
  into places, numbers
  from unnest(fresh) f (place)
  cross join lateral generate_series(firsts[f.place], lasts[f.place]) n (n);
  if cardinality(places) < cardinality(ids) then
    select array_agg(u.id order by u.n), array_agg(u.queue order by u.n),
      array_agg(u.task order by u.n), array_agg(u.priority order by u.n),
      array_agg(u.run_at order by u.n), array_agg(u.payload order by u.n),
      array_agg(u.max_attempts order by u.n), array_agg(u.timeout order by u.n),
      array_agg(u.tags order by u.n), array_agg(u.settings order by u.n),
      array_agg(u.key order by u.n), array_agg(u.policy order by u.n)
    into ids, queues, tasks, priorities, run_ats, payloads, max_attemptss, timeouts, tagss,
      settingss, keys, policies
    from unnest(ids, queues, tasks, priorities, run_ats, payloads, max_attemptss, timeouts, tagss,
        settingss, keys, policies) with ordinality
      u (id, queue, task, priority, run_at, payload, max_attempts, timeout, tags, settings, key,
        policy, n)
    where exists (
      select from unnest(fresh) f (place) where u.n between firsts[f.place] and lasts[f.place]);
  end if;

  return query
    with s as materialized (
      select places[k.nth::integer] as place, numbers[k.nth::integer] as nth, k.job_id, k.status, k.outcome
      from reveille.submit_keyed(ids, queues, tasks, priorities, run_ats, payloads, max_attemptss,
        timeouts, tagss, settingss, keys, policies) k
    ), told as materialized (
      select s.place, array_agg(s.job_id order by s.nth) as ids,
        array_agg(s.status order by s.nth) as statuses,
        array_agg(s.outcome order by s.nth) as outcomes, bool_or(s.outcome = 'rejected') as rejected
      from s group by s.place
    ), undone as (
      delete from reveille.idempotency i using told t
      where t.rejected and i.principal = principals[t.place] and i.path = paths[t.place]
        and i.key = names[t.place]
    ), corrected as (
      update reveille.idempotency i
      set ids = t.ids, statuses = t.statuses, outcomes = t.outcomes
      from told t
      where not t.rejected and i.principal = principals[t.place] and i.path = paths[t.place]
        and i.key = names[t.place]
        and (i.ids, i.statuses, i.outcomes) is distinct from (t.ids, t.statuses, t.outcomes)
    )
    select s.place, s.nth, s.job_id, s.status, s.outcome, false from s;
end $$;

comment on function reveille.submit_once is
  'Submits jobs that were checked, those of each key once, and answers a key that was seen as then.';
revoke all on function reveille.submit_once from public;
