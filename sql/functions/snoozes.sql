-- All but the last snoozes of a job are forgotten. The last one then says how many there were: those
-- that came since the one that said so before, and what that one said.
create or replace function reveille.snoozes(ids uuid[])
returns table (id uuid, lease uuid, nth bigint, kept bigint, total bigint)
language sql stable as $$
  select s.id, s.lease, s.nth, count(*) over w,
    coalesce(max(s.nth - 1 + s.counted) over w, count(*) over w)
  from (
    select a.id, a.lease, (a.error ->> 'count')::bigint as counted,
      row_number() over (partition by a.id order by a.ended_at desc, a.lease) as nth
    from unnest(ids) u (id) cross join lateral (
      select x.id, x.lease, x.ended_at, x.error from reveille.attempt x
      where x.id = u.id and x.ending = 'snoozed'
    ) a
  ) s
  window w as (partition by s.id)
$$;

comment on function reveille.snoozes is
  'The snoozes of these jobs that are kept, the last as the first, and how many there were in all.';
revoke all on function reveille.snoozes from public;
