-- Whether a holder has ended is asked in a statement that began after its key was locked. The key
-- of one that has not ended is as any other from here on, and is not looked at again.
create or replace function reveille.keys_over(most bigint) returns bigint
language plpgsql as $$
declare
  over uuid[];
begin
  select array_agg(l.id) into over from (
    select k.id from reveille.unique_key k where k.until <= clock_timestamp()
      order by k.until limit most for update skip locked
  ) l;
  delete from reveille.unique_key k where k.id = any (over) and reveille.has_ended(k.id);
  update reveille.unique_key k set until = null where k.id = any (over);
  return coalesce(cardinality(over), 0);
end $$;

comment on function reveille.keys_over is
  'Frees unique keys whose window is over and whose job has ended. Returns how many windows it saw.';
revoke all on function reveille.keys_over from public;
