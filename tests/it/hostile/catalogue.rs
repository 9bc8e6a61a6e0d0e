//! The catalogue: which functions there are, who may call them, and where they look for what they name; and what every connection
//! brings along.

use crate::harness;

/// There are three kinds of functions. Those that act for a role that is not their caller's (SECURITY DEFINER, triggers) have a
/// path of their own. Those that others can reach, directly or through a view, have one too, or a body that was bound when
/// they were made. The others are only called from these and by the service; they have neither, because a function with a
/// SET clause is not inlined, and only their owner may call them.
#[tokio::test(flavor = "multi_thread")]
async fn every_function_is_of_one_of_three_kinds() {
    let database = harness::database().await;
    let client = database.client().await;
    let rows = client.query(include_str!("catalogue.sql"), &[]).await.unwrap();
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            let name: String = row.get("name");
            let acts_for_another: bool = row.get("acts_for_another");
            let reached: bool = row.get("reached");
            let path: Option<String> = row.get("path");
            let bound: bool = row.get("bound");
            let pinned = path.as_deref() == Some("pg_catalog, pg_temp");
            let fault = match (acts_for_another, reached) {
                (true, _) if !pinned => "needs set search_path = pg_catalog, pg_temp",
                (false, true) if !pinned && !bound => {
                    "is reached by others, and its body is not bound"
                }
                (false, false) if path.is_some() => {
                    "has a search_path, and only helps other functions"
                }
                _ => return None,
            };
            Some(format!("{name} {fault} (path {path:?})"))
        })
        .collect();
    assert!(rows.len() > 20, "only {} functions", rows.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
