//! Operations that wait, or that somebody has locked, do not keep the others.

use serde_json::json;

use super::{House, SOON, text};
use crate::harness::eventually;
use crate::harness::look::value;

/// More than the leader reads at a time.
const MANY: usize = 101;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_operations_that_are_delayed_do_not_keep_another() {
    let house = House::open().await;
    let ids = house.failed(3).await;
    house.heal(&ids).await;
    let later = json!({"all": true, "delay_seconds": 3600});
    for _ in 0..MANY {
        house.redriving(later.clone()).await;
    }
    let id = house.redriving(json!({"all": true})).await;
    assert_eq!(house.over(&id).await["moved"], 3);
}

/// Each canary waits for its first job, which nobody ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_canaries_that_wait_do_not_keep_a_redrive() {
    let house = House::open().await;
    let ids = house.failed(MANY + 3).await;
    let (slow, well) = ids.split_at(MANY);
    house.heal(well).await;
    let sleep = "update reveille.job set task = 'sleep', payload = '{\"seconds\": 600}'
        where id::text = any ($1)";
    house.client.execute(sleep, &[&slow]).await.unwrap();
    let canary = json!({"filter": {"task": "sleep"}, "canary": {}});
    for _ in 0..MANY {
        house.redriving(canary.clone()).await;
    }
    let watched = "select count(*) from reveille.canary";
    eventually("each watches its job", SOON, async || {
        value::<i64>(&house.client, watched).await == MANY as i64
    })
    .await;
    let id = house.redriving(json!({"filter": {"task": "flaky"}})).await;
    assert_eq!(house.over(&id).await["moved"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_whose_row_is_locked_does_not_keep_the_others() {
    let house = House::open().await;
    let ids = house.failed(3).await;
    house.heal(&ids).await;
    let nobody = json!({"filter": {"task": "nobody"}, "delay_seconds": 0.5});
    let locked = house.redriving(nobody).await;
    let mut locker = house.database.client().await;
    let open = locker.transaction().await.unwrap();
    let lock = "select from reveille.operation where id::text = $1 for update";
    assert_eq!(open.query(lock, &[&locked]).await.unwrap().len(), 1);
    let id = house.redriving(json!({"all": true, "delay_seconds": 1})).await;
    assert_eq!(house.over(&id).await["moved"], 3);
    assert_eq!(text(&house.operation(&locked).await, "status"), "running");
    open.rollback().await.unwrap();
    assert_eq!(text(&house.over(&locked).await, "status"), "completed");
}
