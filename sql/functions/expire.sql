-- Only a job that waits ends here. A job that a worker holds is left to the worker, which knows how
-- many seconds are left. It is looked at again, since its worker may be of an earlier release, or
-- give it back unbegun. The looks become rare where only the queue_ttl_seconds are over, since the
-- attempt mostly runs. No row stays at the front, where a page of such would hide the others.
--
-- A waiting job is locked before it is asked whether an attempt has begun. So none can begin after.
create or replace function reveille.expire(most integer)
returns table (id uuid, queue text, task text, error jsonb)
language plpgsql as $$
declare
  due uuid[];
  waiting uuid[];
  late uuid[];
  errors jsonb[];
begin
  select array_agg(d.id) into due from (
    select e.id from reveille.expiry e where e.at <= now() order by e.at limit most
      for update skip locked
  ) d;
  if due is null then
    return;
  end if;
  waiting := reveille.waiting_lock(due, false);
  select array_agg(l.id), array_agg(l.error) into late, errors from (
    select j.id, reveille.time_error(j.settings) as error from reveille.jobs_found(waiting) j
  ) l
  where l.error is not null;
  -- The ends are told to those who wait, so they are on disk before.
  perform set_config('synchronous_commit', 'on', true) where late is not null;
  return query select w.* from reveille.waiting_end(late, 'failed', errors) w;

  delete from reveille.expiry e where e.id = any (due) and reveille.has_ended(e.id);
  update reveille.expiry e set at = now() + interval '1 second' * greatest(t.rest, 0.001)
  from (
    select x.id, least(
      case when x.deadline > 0 then x.deadline when x.deadline <= 0 then 1 end,
      case when x.ttl > 0 then x.ttl
        when x.ttl <= 0 then greatest(1, least(60, extract(epoch from now() - s.since) / 2)) end
    ) as rest
    from (
      select j.id, (j.settings #>> '{left,deadline_seconds}')::double precision as deadline,
        (j.settings #>> '{left,queue_ttl_seconds}')::double precision as ttl
      from reveille.jobs_found(due) j
    ) x
    join reveille.expiry s on s.id = x.id
  ) t
  where e.id = t.id and t.rest is not null;
  -- Of these no limit counts any more.
  delete from reveille.expiry e where e.id = any (due) and e.at <= now();
end $$;

comment on function reveille.expire is
  'Ends waiting jobs whose time is over, as many as may be due. Returns them.';
revoke all on function reveille.expire from public;
