//! Notices between instances. Listening has a connection of its own: a pool gives no access to
//! notifications, and would hand the connection to others.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_postgres::{Client, Notification};

use super::connect::Target;
use super::session::{in_time, sql};
use super::{Result, Store};

/// Where everything is announced: jobs, outcomes, cancellations.
pub(crate) const CHANNEL: &str = "reveille";

/// How long LISTEN may take, and to notify.
const WITHIN: Duration = Duration::from_secs(5);

/// A listening connection.
pub(crate) struct Listening {
    client: Client,
    notifications: mpsc::UnboundedReceiver<Notification>,
}

impl Listening {
    /// Connects and listens. Notices before it returns may have been missed: look at everything
    /// once.
    pub(crate) async fn connect(target: &Target) -> Result<Self> {
        let (client, notifications) = target.connect().await?;
        let listen = format!("listen {CHANNEL}");
        in_time(WITHIN, client.batch_execute(&listen)).await?;
        Ok(Self { client, notifications })
    }

    /// The next payload; `None` when the connection has gone.
    pub(crate) async fn next(&mut self) -> Option<String> {
        self.notifications.recv().await.map(|heard| heard.payload().to_owned())
    }

    /// Notifies everybody who listens, this connection included.
    pub(crate) async fn notify(&self, payload: &str) -> Result<()> {
        let parameters: &[(&(dyn tokio_postgres::types::ToSql + Sync), _)] = &[
            (&CHANNEL, tokio_postgres::types::Type::TEXT),
            (&payload, tokio_postgres::types::Type::TEXT),
        ];
        let notifying = self.client.query_typed("select pg_notify($1, $2)", parameters);
        in_time(WITHIN, notifying).await.map(drop)
    }
}

impl Store {
    /// Notifies everybody who listens.
    pub async fn news_notify(&self, payload: &str) -> Result<()> {
        self.submissions.query(sql!("news/notify": TEXT), &[&payload]).await.map(drop)
    }
}
