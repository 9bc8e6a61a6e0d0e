//! The database that every test's database is a copy of.

use tokio_postgres::Client;

/// Makes the empty template into what a test expects to find. Runs once for each PostgreSQL that tests start.
pub(crate) async fn prepare(client: &Client) {
    client.batch_execute("SELECT 1").await.expect("the template can be used");
}
