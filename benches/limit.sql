-- What PostgreSQL itself can do with the plan of this queue: an immutable job row, a ready row, one lease row for each claim,
-- an outcome row. No priorities, retries, partial outcomes or notifications, and no job leaves the server to be run.
create schema bare;

-- The table of the single-row INSERT that everybody measures against: two indexes, one commit for each row.
create table bare.plain (
  id uuid primary key default gen_random_uuid(), queue text not null, run_at timestamptz not null default now(), payload jsonb not null
);
create index on bare.plain (queue, run_at, id);

create table bare.job (id uuid primary key, queue text not null, task text not null, payload jsonb not null);
create table bare.ready (queue text not null, run_at timestamptz not null, id uuid not null, attempt int not null, primary key (queue, run_at, id))
  with (autovacuum_vacuum_scale_factor = 0.02);
create table bare.lease (lease uuid primary key, claimed_at timestamptz not null default now(), ids uuid[] not null);
create table bare.outcome (
  id uuid primary key, state text not null, attempt int not null, claimed_at timestamptz, ended_at timestamptz not null default now()
);

create procedure bare.run(jobs int, chunk int) language plpgsql as $$
declare
  held uuid; ids uuid[]; attempts int[]; payloads jsonb[]; taken int; done int := 0;
  b_run_at timestamptz := '-infinity'; b_id uuid := '00000000-0000-0000-0000-000000000000';
begin
  while done < jobs loop
    with c as materialized (
      select * from bare.ready where queue = 'default' and (run_at, id) >= (b_run_at, b_id) and run_at <= now()
      order by run_at, id limit least(chunk, jobs - done) for update skip locked
    ), d as (
      delete from bare.ready r using c where r.queue = c.queue and r.run_at = c.run_at and r.id = c.id returning r.*
    ), l as (
      insert into bare.lease (lease, ids) select gen_random_uuid(), array_agg(id) from d having count(*) > 0 returning lease
    )
    select l.lease, array_agg(d.id), array_agg(d.attempt + 1), array_agg(j.payload), max(d.run_at), count(*)
    into held, ids, attempts, payloads, b_run_at, taken
    from d join bare.job j using (id), l group by l.lease;
    commit;
    exit when taken is null;
    b_id := ids[taken];
    with l as (delete from bare.lease x where x.lease = held returning x.claimed_at)
    insert into bare.outcome select o.id, 'completed', o.attempt, l.claimed_at, now() from unnest(ids, attempts) o (id, attempt), l;
    commit;
    done := done + taken;
  end loop;
end $$;
