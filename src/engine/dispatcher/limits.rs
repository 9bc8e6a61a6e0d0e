//! Time limits that queues give their jobs. They are not written to a job, so a claim does not bring
//! them. One statement asks for the ages of those jobs that need it; where no queue has such limits
//! there is none.

use std::collections::HashMap;
use std::time::Instant;

use super::Dispatcher;
use crate::job::JobId;
use crate::store::lease::Claimed;

impl Dispatcher {
    /// Gives claimed jobs the limits of their queues. A failure keeps no job from running: the
    /// leader ends what waits for too long.
    pub(super) async fn limit(&self, jobs: impl IntoIterator<Item = &mut Claimed>) {
        let defaults = &self.events.defaults;
        if !defaults.any_limited() {
            return;
        }
        let mut limited = HashMap::new();
        for job in jobs {
            if let Some(queue) = defaults.of(&job.queue).filter(|queue| queue.is_limited()) {
                limited.insert(job.id, (job, queue));
            }
        }
        if limited.is_empty() {
            return;
        }
        let (ids, now): (Vec<JobId>, _) = (limited.keys().copied().collect(), Instant::now());
        let ages = match self.store.expiry_ages(&ids).await {
            Ok(ages) => ages,
            Err(error) => {
                tracing::debug!(%error, "the ages of claimed jobs could not be read; they run without the limits of their queues");
                return;
            }
        };
        for age in ages {
            let Some((job, queue)) = limited.get_mut(&age.id) else { continue };
            let left = job.left.as_deref().copied().unwrap_or_default();
            let begun_before = age.begun;
            let left =
                left.or_of_queue(queue, job.settings.as_deref(), age.seconds, begun_before, now);
            job.left = Some(Box::new(left));
        }
    }
}
