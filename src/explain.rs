//! Why a job may have to wait: what nobody serves, and what is paused. It goes with the answers to submissions, so it is read at
//! most about once a second, and a submission that cannot have it goes without.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::spelling::did_you_mean;
use crate::store::{Result, Store};

/// How old a hint may be.
const FRESH: Duration = Duration::from_secs(1);
/// How long an answer may be held up by its hints.
const PATIENCE: Duration = Duration::from_millis(250);

/// Reads hints. Clones share what was read.
#[derive(Clone)]
pub struct Hints {
    store: Store,
    read: Arc<Mutex<Option<Read>>>,
}

/// What was read, and when; nothing if it could not be.
type Read = (Instant, Option<Arc<Known>>);

/// What was known a moment ago.
#[derive(Debug)]
struct Known {
    /// What each kind of worker serves: queues, or all of them, and tasks.
    serving: Vec<(Option<Vec<String>>, Vec<String>)>,
    paused: Vec<String>,
}

impl Hints {
    pub fn new(store: Store) -> Self {
        Self { store, read: Arc::default() }
    }

    /// Why a job of this task would wait in this queue; nothing if it would not.
    pub async fn of(&self, queue: &str, task: &str) -> Vec<String> {
        self.known().await.map(|known| known.hints(queue, task)).unwrap_or_default()
    }

    /// As [`Hints::of`], of many.
    pub async fn of_many<'a>(
        &self,
        jobs: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Vec<Vec<String>> {
        let known = self.known().await;
        let mut seen: HashMap<(&str, &str), Vec<String>> = HashMap::new();
        let hints = |(queue, task)| {
            let hints = || known.as_ref().map(|known| known.hints(queue, task)).unwrap_or_default();
            seen.entry((queue, task)).or_insert_with(hints).clone()
        };
        jobs.map(hints).collect()
    }

    /// What was read is no longer true.
    pub async fn forget(&self) {
        *self.read.lock().await = None;
    }

    /// `None`: it could not be read, or not in time.
    async fn known(&self) -> Option<Arc<Known>> {
        if let Ok(read) = self.read.try_lock()
            && let Some(known) = recent(&read)
        {
            return known;
        }
        // In a box, or every submission would carry the room for a look at the database.
        Box::pin(tokio::time::timeout(PATIENCE, self.fresh())).await.ok().flatten()
    }

    async fn fresh(&self) -> Option<Arc<Known>> {
        let mut read = self.read.lock().await;
        if let Some(known) = recent(&read) {
            return known;
        }
        // Nobody looks again soon if this look fails, or is given up on while it waits.
        *read = Some((Instant::now(), None));
        let known = self.look().await.ok().map(Arc::new);
        *read = Some((Instant::now(), known.clone()));
        known
    }

    async fn look(&self) -> Result<Known> {
        let (serving, paused) =
            tokio::try_join!(self.store.worker_serving(), self.store.queue_paused())?;
        Ok(Known { serving, paused })
    }
}

fn recent(read: &Option<Read>) -> Option<Option<Arc<Known>>> {
    read.as_ref().filter(|(at, _)| at.elapsed() < FRESH).map(|(_, known)| known.clone())
}

impl Known {
    fn hints(&self, queue: &str, task: &str) -> Vec<String> {
        let paused = self.paused.iter().any(|name| name == queue).then(|| {
            format!("The queue {queue} is paused, so the job waits. POST /queues/{queue}/resume starts it.")
        });
        paused.into_iter().chain(self.unserved(queue, task)).collect()
    }

    fn unserved(&self, queue: &str, task: &str) -> Option<String> {
        let mut elsewhere = false;
        for (queues, tasks) in &self.serving {
            if tasks.iter().any(|name| name == task) {
                if queues.as_ref().is_none_or(|queues| queues.iter().any(|name| name == queue)) {
                    return None;
                }
                elsewhere = true;
            }
        }
        if elsewhere {
            return Some(format!(
                "No running worker serves the task {task:?} in the queue {queue}, so the job waits."
            ));
        }
        let names: Vec<&str> =
            self.serving.iter().flat_map(|(_, tasks)| tasks).map(String::as_str).collect();
        let hint = did_you_mean(task, &names);
        Some(format!("No running worker serves the task {task:?}, so the job waits.{hint}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_paused_and_what_nobody_serves_where() {
        let texts = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let known = Known {
            serving: vec![
                (None, texts(&["echo"])),
                (Some(texts(&["mail"])), texts(&["send_email"])),
            ],
            paused: texts(&["slow"]),
        };
        assert!(known.hints("default", "echo").is_empty());
        assert!(known.hints("mail", "send_email").is_empty());
        assert!(known.hints("slow", "echo")[0].contains("/queues/slow/resume"));
        assert!(known.hints("default", "send_email")[0].contains("in the queue default"));
        let both = known.hints("slow", "send_emial");
        assert!(both[1].ends_with("Did you mean `send_email`?"), "{both:?}");
    }
}
