//! A connection of its own that listens: a pool gives no access to notifications, and would hand the connection to others.

use std::future::poll_fn;

use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client};

use super::connect::{CONNECT_WITHIN, Target};
use super::error::{Error, Result};
use super::session::refused_connection;

/// Where everything is announced: jobs, outcomes, cancellations.
pub(crate) const CHANNEL: &str = "reveille";

/// A listening connection.
pub struct Listening {
    client: Client,
    payloads: mpsc::UnboundedReceiver<String>,
}

impl Listening {
    /// Connects and listens. What was announced before it returns may have been missed: look at everything once.
    pub async fn connect(target: &Target) -> Result<Self> {
        let connecting =
            tokio::time::timeout(CONNECT_WITHIN, target.config.connect(target.tls.clone()));
        let (client, mut connection) = connecting
            .await
            .map_err(|_| Error::Unavailable("no connection within four seconds".into()))?
            .map_err(|error| refused_connection(&error))?;
        let (sender, payloads) = mpsc::unbounded_channel();
        // Reads on whatever anybody else does: a listener that stops reading holds back vacuum, and at last every COMMIT.
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await
            {
                if let AsyncMessage::Notification(notification) = message
                    && sender.send(notification.payload().to_owned()).is_err()
                {
                    return;
                }
            }
        });
        client.batch_execute(&format!("listen {CHANNEL}")).await?;
        Ok(Self { client, payloads })
    }

    /// The next payload; `None` when the connection has gone.
    pub async fn next(&mut self) -> Option<String> {
        self.payloads.recv().await
    }

    /// Notifies everybody who listens, this connection included.
    pub async fn notify(&self, payload: &str) -> Result<()> {
        let parameters: &[(&(dyn tokio_postgres::types::ToSql + Sync), _)] = &[
            (&CHANNEL, tokio_postgres::types::Type::TEXT),
            (&payload, tokio_postgres::types::Type::TEXT),
        ];
        self.client.query_typed("select pg_notify($1, $2)", parameters).await?;
        Ok(())
    }
}
