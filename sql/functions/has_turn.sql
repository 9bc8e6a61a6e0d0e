-- A job that has ended has none, nor one that waits in `keyed`, nor one whose content was replaced by
-- some with another key, or with none.
create or replace function reveille.has_turn(id uuid, key text) returns boolean
language plpgsql stable as $$
begin
  return not exists (select from reveille.outcome o where o.id = $1)
    and not exists (select from reveille.keyed k where k.id = $1)
    and exists (select from reveille.job j
      where j.id = $1 and j.settings ->> 'concurrency_key' = $2);
end $$;

comment on function reveille.has_turn is
  'Whether a holder of a concurrency key still has its turn.';
revoke all on function reveille.has_turn from public;
