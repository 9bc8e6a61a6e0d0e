//! A connection of the doctor's own, and whether there is a PgBouncer in between.

use std::time::Duration;

use crate::config::DatabaseUrl;
use crate::store::doctor::Client;
use crate::store::{Result, doctor as store};

/// A connection that is being read.
pub(super) struct Link {
    pub(super) client: Client,
    /// Whether settings of a session get through: a PgBouncer refuses them, or swallows them.
    pub(super) takes_options: bool,
    words: store::Notifications,
}

impl Link {
    pub(super) async fn open(url: &DatabaseUrl) -> Result<Self> {
        let ((client, words), offered) = match store::connect(url, true).await {
            Err(error) if error.refuses_settings() => (store::connect(url, false).await?, false),
            connected => (connected?, true),
        };
        let limits = store::settings(&client, &["statement_timeout"]).await?;
        let taken = limits.get("statement_timeout").is_some_and(|limit| limit == "30000");
        Ok(Self { client, takes_options: offered && taken, words })
    }

    /// Waits for a word from the doctor's channel.
    pub(super) async fn hears(&mut self, word: &str, patience: Duration) -> bool {
        let heard = async {
            while let Some(heard) = self.words.recv().await {
                if heard.payload() == word {
                    return true;
                }
            }
            false
        };
        tokio::time::timeout(patience, heard).await.unwrap_or(false)
    }
}
