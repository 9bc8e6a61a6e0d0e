//! A connection of the doctor's own, and whether there is a PgBouncer in between.

use std::future::poll_fn;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client};

use crate::config::DatabaseUrl;
use crate::store::{Result, doctor as store};

/// A setting that the service would bring along; here it also keeps questions short.
const LIMIT: &str = "-c statement_timeout=30000";

/// A connection that is being read.
pub(super) struct Link {
    pub(super) client: Client,
    /// Whether settings of a session get through: a PgBouncer refuses them, or swallows them.
    pub(super) takes_options: bool,
    words: mpsc::UnboundedReceiver<String>,
}

impl Link {
    pub(super) async fn open(url: &DatabaseUrl) -> Result<Self> {
        let (link, offered) = match store::connect(url, Some(LIMIT)).await {
            Err(error) if error.refuses_settings() => (store::connect(url, None).await?, false),
            connected => (connected?, true),
        };
        let (client, mut connection) = link;
        let (sender, words) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            // Ends with the connection, or when the client is dropped; an error is also the
            // client's next answer, so nothing is hidden here.
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(notification) = message {
                    let _ = sender.send(notification.payload().to_owned());
                }
            }
        });
        let limits = store::settings(&client, &["statement_timeout"]).await?;
        let taken = limits.get("statement_timeout").is_some_and(|limit| limit == "30000");
        Ok(Self { client, takes_options: offered && taken, words })
    }

    /// Waits for a word from the doctor's channel.
    pub(super) async fn hears(&mut self, word: &str, patience: Duration) -> bool {
        let heard = async {
            while let Some(heard) = self.words.recv().await {
                if heard == word {
                    return true;
                }
            }
            false
        };
        tokio::time::timeout(patience, heard).await.unwrap_or(false)
    }
}
