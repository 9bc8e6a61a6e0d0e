//! The resumer: ends pauses whose time has come, to the moment.
//!
//! The leader alone does it. When it dies, the next one finds what is due in the database.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::events::{Events, Leadership, Notice};
use crate::shutdown::Shutdown;
use crate::store::{Result, Store};

/// How long it rests at most: the news of a pause ends its rest.
const REST_MOST: Duration = Duration::from_secs(60);
/// How long it rests after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Ends pauses until the service stops. `poll` is how long it rests at most while nothing can be
/// heard.
pub(crate) async fn resume(
    store: Store,
    events: Events,
    leadership: Leadership,
    poll: Duration,
    shutdown: Shutdown,
) {
    let mut failing = false;
    let work = async {
        loop {
            leadership.led().await;
            let rest = match resume_due(&store, &events).await {
                Ok(next) => {
                    failing = false;
                    let heard = events.listening.load(Ordering::Relaxed);
                    let most = if heard { REST_MOST } else { poll };
                    next.map_or(most, |next| next.min(most))
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "pauses could not be ended; it is tried again and again");
                    }
                    AFTER_FAILURE
                }
            };
            // A pause that is heard of meanwhile may end before the rest is over.
            let _ = tokio::time::timeout(rest, events.pauses.timed()).await;
        }
    };
    shutdown.stopping.run_until_cancelled(work).await;
}

/// Answers how long until the next pause ends.
async fn resume_due(store: &Store, events: &Events) -> Result<Option<Duration>> {
    let (resumed, next) = store.queue_resume_due().await?;
    for queue in resumed {
        tracing::info!(queue.name = %queue, "the pause of a queue is over");
        events.wakes.wake(|pending| pending.queue(queue.clone()));
        if let Err(error) = store.news_notify(&Notice::Queue(queue).to_string()).await {
            tracing::debug!(%error, "the others were not told of a resumed queue; their poll finds it");
        }
    }
    Ok(next)
}
