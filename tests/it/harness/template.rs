//! The database that every test's database is a copy of.

use reveille::internals::store::{Target, migrate};

/// Makes the empty template into what a test expects to find. Runs once for each PostgreSQL that tests start.
pub(crate) async fn prepare(url: &str) {
    let target = Target::parse(url).expect("a URL");
    migrate::migrate(&target).await.expect("the migrations apply");
}
