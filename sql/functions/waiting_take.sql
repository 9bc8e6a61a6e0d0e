-- The one way out of waiting but for a claim. A job with a concurrency_key may have had a turn: its
-- gate is noted, to be looked at afterwards, so that nobody waits for a gate here.
create or replace function reveille.waiting_take(ids uuid[], patient boolean)
returns table (id uuid, queue text, task text, attempt integer)
language plpgsql as $$
#variable_conflict use_column
declare
  locked uuid[] := reveille.waiting_lock(ids, patient);
begin
  if locked = '{}' then
    return;
  end if;
  if exists (select from reveille.gate) or exists (select from reveille.keyed) then
    insert into reveille.freed (queue, key, wakes)
    select j.queue, j.settings ->> 'concurrency_key',
      (row_number() over (partition by j.queue) = 1)::integer
    from reveille.jobs_found(locked) j where j.settings ? 'concurrency_key';
  end if;
  return query
    delete from reveille.ready r where r.id = any (locked)
    returning r.id, r.queue, r.task, r.attempt;
  return query
    delete from reveille.keyed k where k.id = any (locked)
    returning k.id, k.queue, k.task, k.attempt;
end $$;

comment on function reveille.waiting_take is
  'Takes those of these jobs that wait out of where they wait. The caller decides what they become.';
revoke all on function reveille.waiting_take from public;
