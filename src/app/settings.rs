//! The settings of queues at the start: those of the file are applied, and all are read.

use super::database::{Database, patiently};
use crate::config::Config;
use crate::events::{Defaults, Notice};
use crate::store::defaults::Filed;
use crate::store::{Error, Store};

/// Applies the tables of the file, if they are new, and reads the settings that are in force, before
/// anything is submitted or run.
pub(super) async fn settle(
    config: &Config,
    database: &Database,
    store: &Store,
    defaults: &Defaults,
) -> Result<(), Error> {
    patiently(&database.target, async || {
        apply(config, store).await?;
        defaults.seen(store.queue_settings(None).await?);
        Ok::<_, Error>(())
    })
    .await
}

/// A file without such a table says nothing, since not each instance has a file. One with an empty
/// table `[queue]` says that no queue has settings of a file.
async fn apply(config: &Config, store: &Store) -> Result<(), Error> {
    let Some(settings) = &config.queue_settings else { return Ok(()) };
    let queues = settings.len();
    match store.queue_settings_file(settings).await? {
        Filed::Applied => {
            tracing::info!(queues, "the settings of queues in the file are applied");
            // The others look at what changed in any case, with their next poll.
            if let Err(error) = store.news_notify(&Notice::Settings.to_string()).await {
                tracing::debug!(%error, "the others were not told of new settings; their poll finds them");
            }
        }
        Filed::Known => {}
        Filed::Older(applied_at) => tracing::warn!(
            queues, %applied_at,
            "the tables [queue.NAME] of this file were applied before, and others since: nothing is changed. Give this instance the newer file, or change settings by PUT /queues/{{queue}}"
        ),
    }
    Ok(())
}
