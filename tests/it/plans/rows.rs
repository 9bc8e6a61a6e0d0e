//! A database in use: 100,000 jobs that wait, and a good number that run or have ended.

use crate::harness::TestDatabase;

const FILL: &str = "
create temp table made as
  select n, reveille.uuid7(reveille.uuid7_ticks(now() - interval '1 hour'), 0, n * 5000) as id from generate_series(1, 140000) n;
insert into reveille.job (id, run_at, priority, queue, task, payload, tags, unique_key)
  select id, reveille.uuid7_time(id), n % 10, 'q' || n % 5, 'task_' || n % 10, jsonb_build_object('n', n),
    case when n % 5000 = 0 then array['rare'] end, case when n % 100 = 0 then 'k' || n end
  from made;
insert into reveille.ready (queue, task, priority, run_at, id, crashes)
  select 'q' || n % 5, 'task_' || n % 10, n % 10, now() + case when n % 10 = 0 then interval '1 hour' else '0' end, id,
    case when n % 10000 = 0 then 2 else 0 end
  from made where n <= 100000;
insert into reveille.unique_key (queue, key, id)
  select 'q' || n % 5, 'k' || n, id from made where n <= 100000 and n % 100 = 0;
insert into reveille.outcome (id, attempt, state)
  select id, 1, case when n % 100 = 0 then 'failed' when n % 100 = 1 then 'cancelled' else 'completed' end::reveille.end_state
  from made where n between 100001 and 135000;
insert into reveille.attempt (id, lease, attempt, ending)
  select id, gen_random_uuid(), 1, 'failed' from made where n % 20 = 0;
insert into reveille.worker (id, name, version, host, pid, lost_after, slots, tasks)
  select gen_random_uuid(), 'w' || n, '1', 'host', 1, '10 s', 64, '{}' from generate_series(1, 4) n;
insert into reveille.task (name, max_attempts) select 'task_' || n, 10 from generate_series(0, 9) n;
insert into reveille.queue (name) select 'q' || n from generate_series(0, 4) n;
insert into reveille.lease (lease, worker, ids, attempts, crashes)
  select gen_random_uuid(), (array(select id from reveille.worker))[1 + n / 20 % 4], array_agg(id), array_agg(1), array_agg(0::smallint)
  from made where n > 135000 group by n / 20;
";

pub(super) async fn fill(database: &TestDatabase) {
    database.client().await.batch_execute(FILL).await.expect("the rows fit the schema");
}

/// The tables of which to read every row takes its time: partitions without a row in them do not count.
pub(super) async fn large_tables(database: &TestDatabase) -> Vec<String> {
    let sql = "select relname::text from pg_class
      where relnamespace = 'reveille'::regnamespace and relkind = 'r' and reltuples > 1000";
    let rows = database.client().await.query(sql, &[]).await.expect("statistics");
    rows.iter().map(|row| row.get(0)).collect()
}

/// What an index of a partitioned table is called in the partitions.
pub(super) async fn parts_of(database: &TestDatabase, index: &str) -> Vec<String> {
    let sql = "select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = ('reveille.' || $1::text)::regclass";
    let rows = database.client().await.query(sql, &[&index]).await.expect("the catalogue");
    rows.iter().map(|row| row.get(0)).collect()
}
