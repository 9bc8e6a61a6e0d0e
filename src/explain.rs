//! Why a job may have to wait: what nobody serves, and what is paused. It goes with the answers to
//! submissions, so it is read at most about once a second. A submission that cannot have it goes
//! without.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::spelling::did_you_mean;
use crate::store::{Result, Store};

/// How old a hint may be.
const FRESH: Duration = Duration::from_secs(1);
/// How long an answer may be held up by its hints.
const PATIENCE: Duration = Duration::from_millis(250);
/// For how many lanes of a batch a name is looked for that their task resembles: each is compared
/// with all that are served.
const SUGGESTED_MOST: usize = 100;

/// Reads hints. Clones share what was read.
#[derive(Clone)]
pub(crate) struct Hints {
    store: Store,
    read: Arc<Mutex<Option<Read>>>,
}

/// The last reading, and when it was made; nothing if it failed.
type Read = (Instant, Option<Arc<Known>>);

/// The state of a moment ago. A batch asks it for each of its jobs, so nothing here is searched
/// through.
#[derive(Debug, Default)]
struct Known {
    /// The tasks that workers serve, each with the queues in which they do.
    serving: BTreeMap<String, Serving>,
    paused: HashSet<String>,
}

/// Where a task is served.
#[derive(Debug)]
enum Serving {
    Everywhere,
    In(HashSet<String>),
}

impl Hints {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, read: Arc::default() }
    }

    /// Why a job of this task would wait in this queue; nothing if it would not.
    pub(crate) async fn of(&self, queue: &str, task: &str) -> Vec<String> {
        self.known().await.map(|known| known.hints(queue, task, true)).unwrap_or_default()
    }

    /// As [`Hints::of`], of many.
    pub(crate) async fn of_many<'a>(
        &self,
        jobs: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Vec<Vec<String>> {
        match self.known().await {
            Some(known) => known.hints_of(jobs),
            None => jobs.map(|_| Vec::new()).collect(),
        }
    }

    /// The last reading is no longer true.
    pub(crate) async fn forget(&self) {
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
        // No caller looks again soon if this look fails, or is given up on while it waits.
        *read = Some((Instant::now(), None));
        let known = self.look().await.ok().map(Arc::new);
        *read = Some((Instant::now(), known.clone()));
        known
    }

    async fn look(&self) -> Result<Known> {
        let (serving, paused) =
            tokio::try_join!(self.store.worker_serving(), self.store.queue_paused())?;
        Ok(Known::new(serving, paused))
    }
}

fn recent(read: &Option<Read>) -> Option<Option<Arc<Known>>> {
    read.as_ref().filter(|(at, _)| at.elapsed() < FRESH).map(|(_, known)| known.clone())
}

impl Known {
    /// Of what each kind of worker serves: queues, or all of them, and tasks.
    fn new(workers: Vec<(Option<Vec<String>>, Vec<String>)>, paused: Vec<String>) -> Self {
        let mut serving = BTreeMap::new();
        for (queues, tasks) in workers {
            for task in tasks {
                let served = serving.entry(task).or_insert_with(|| Serving::In(HashSet::new()));
                match (served, &queues) {
                    (Serving::In(known), Some(queues)) => known.extend(queues.iter().cloned()),
                    (served, None) => *served = Serving::Everywhere,
                    (Serving::Everywhere, Some(_)) => {}
                }
            }
        }
        Self { serving, paused: paused.into_iter().collect() }
    }

    fn hints_of<'a>(&self, jobs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Vec<String>> {
        let mut seen: HashMap<(&str, &str), Vec<String>> = HashMap::new();
        let hints = |(queue, task)| {
            let resembles = seen.len() < SUGGESTED_MOST;
            let hints = || self.hints(queue, task, resembles);
            seen.entry((queue, task)).or_insert_with(hints).clone()
        };
        jobs.map(hints).collect()
    }

    /// With the name that a task which nobody serves `resembles`, if that is to be looked for.
    fn hints(&self, queue: &str, task: &str, resembles: bool) -> Vec<String> {
        let paused = self.paused.contains(queue).then(|| {
            format!("The queue {queue} is paused, so the job waits. POST /queues/{queue}/resume starts it.")
        });
        paused.into_iter().chain(self.unserved(queue, task, resembles)).collect()
    }

    fn unserved(&self, queue: &str, task: &str, resembles: bool) -> Option<String> {
        match self.serving.get(task) {
            Some(Serving::Everywhere) => None,
            Some(Serving::In(queues)) if queues.contains(queue) => None,
            Some(Serving::In(_)) => Some(format!(
                "No running worker serves the task {task:?} in the queue {queue}, so the job waits."
            )),
            None => {
                let names = || self.serving.keys().map(String::as_str).collect::<Vec<_>>();
                let hint = if resembles { did_you_mean(task, &names()) } else { String::new() };
                Some(format!("No running worker serves the task {task:?}, so the job waits.{hint}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_paused_and_what_nobody_serves_where() {
        let texts = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let workers = vec![
            (Some(texts(&["here"])), texts(&["echo"])),
            (None, texts(&["echo"])),
            (Some(texts(&["mail"])), texts(&["send_email", "echo"])),
            (Some(texts(&["post"])), texts(&["send_email"])),
        ];
        let known = Known::new(workers, texts(&["slow"]));
        let hints = |queue, task| known.hints(queue, task, true);
        assert!(hints("default", "echo").is_empty());
        assert!(hints("mail", "send_email").is_empty() && hints("post", "send_email").is_empty());
        assert!(hints("slow", "echo")[0].contains("/queues/slow/resume"));
        assert!(hints("default", "send_email")[0].contains("in the queue default"));
        let both = hints("slow", "send_emial");
        assert!(both[1].ends_with("Did you mean `send_email`?"), "{both:?}");
    }

    #[test]
    fn only_the_first_of_many_tasks_that_nobody_serves_are_compared_with_those_that_are() {
        let known = Known::new(vec![(None, vec!["send_email".into()])], Vec::new());
        let tasks: Vec<String> = (0..10_000).map(|nth| format!("send_email{nth}")).collect();
        let hints = known.hints_of(tasks.iter().map(|task| ("default", task.as_str())));
        let compared = hints.iter().filter(|hints| hints[0].contains("Did you mean")).count();
        assert_eq!((hints.len(), compared), (tasks.len(), SUGGESTED_MOST));
    }
}
