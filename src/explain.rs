//! Why a job waits: its time, a pause, what nobody serves, its key, or a free slot. The answers to
//! submissions warn of what is in the way by the same words.
//!
//! The answers to submissions say it too. So queues and workers are read about once a second at
//! most. An answer that cannot have it in time goes without.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};
use tokio::sync::Mutex;

use crate::job::JobId;
use crate::job::state::Status;
use crate::spelling::did_you_mean;
use crate::store::gate::TurnHolder;
use crate::store::job::Job;
use crate::store::lease::SUSPECT_FROM;
use crate::store::queue::Pause;
use crate::store::worker::Serving;
use crate::store::{Result, Store};

/// How old the last reading may be.
const FRESH: Duration = Duration::from_secs(1);
/// How long an answer may be held up by a reading.
const PATIENCE: Duration = Duration::from_millis(250);
/// For how many lanes of a batch a name is looked for that their task resembles: each is compared
/// with all that are served.
const SUGGESTED_MOST: usize = 100;

/// A cause of a job's wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cause {
    /// Its first start.
    Scheduled,
    /// Its next attempt.
    Retry,
    /// The end of a pause.
    QueuePaused,
    /// Any worker at all.
    NoWorker,
    /// A worker that knows its task.
    TaskUnserved,
    /// A worker that knows its task and takes jobs of its queue.
    QueueUnserved,
    /// Its turn among the jobs of its key.
    KeyHeld,
    /// Its turn to run alone.
    Suspect,
    /// A free slot.
    Slot,
}

impl Cause {
    /// Its code.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Retry => "retry",
            Self::QueuePaused => "queue_paused",
            Self::NoWorker => "no_worker",
            Self::TaskUnserved => "task_unserved",
            Self::QueueUnserved => "queue_unserved",
            Self::KeyHeld => "key_held",
            Self::Suspect => "suspect",
            Self::Slot => "slot",
        }
    }

    /// Whether somebody has to do something, or else the job waits for ever.
    fn is_obstacle(self) -> bool {
        matches!(
            self,
            Self::QueuePaused | Self::NoWorker | Self::TaskUnserved | Self::QueueUnserved
        )
    }
}

/// One thing that a job waits for.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub cause: Cause,
    /// In words, with what to do about it.
    pub message: String,
    /// The job that stands in the way.
    pub job_id: Option<JobId>,
    /// When it is over by itself.
    pub until: Option<DateTime<Utc>>,
}

impl Wait {
    fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self { cause, message: message.into(), job_id: None, until: None }
    }

    /// The warning about it, if somebody has to do something.
    pub(crate) fn warning(&self) -> Option<String> {
        self.cause.is_obstacle().then(|| self.message.clone())
    }
}

/// Reads why jobs wait. Clones share what was read.
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
    places: BTreeMap<String, Places>,
    paused: HashMap<String, Pause>,
    /// The workers, each kind once.
    workers: Vec<Serving>,
}

/// Where a task is served.
#[derive(Debug)]
enum Places {
    Everywhere,
    In(HashSet<String>),
}

impl Hints {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, read: Arc::default() }
    }

    /// The obstacles of a job of this task in this queue, in words.
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

    /// All that this job waits for; nothing if it runs or has ended.
    pub(crate) async fn waiting_for(&self, job: &Job) -> Vec<Wait> {
        let mut waits = Vec::new();
        match job.status {
            Status::Scheduled => waits.push(of_time(job)),
            Status::Queued => {}
            _ => return waits,
        }
        let known = self.known().await;
        if let Some(known) = &known {
            waits.extend(known.obstacles(&job.queue, &job.task, true));
        }
        if let Some(key) = &job.settings.concurrency_key {
            waits.extend(self.of_key(job.job_id, key).await);
        }
        if job.crashes >= SUSPECT_FROM {
            waits.push(self.of_suspect().await);
        }
        if waits.is_empty() {
            waits.extend(known.map(|known| known.of_slot(&job.queue, &job.task)));
        }
        waits
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
        let (workers, paused) =
            tokio::try_join!(self.store.worker_serving(), self.store.queue_paused())?;
        Ok(Known::new(workers, paused))
    }

    /// The wait of a job for its turn; nothing if it has one, or if that cannot be read.
    async fn of_key(&self, id: JobId, key: &str) -> Option<Wait> {
        let holder = tokio::time::timeout(PATIENCE, self.store.gate_holder(id)).await;
        let holder = holder.ok()?.ok()??;
        let Some(TurnHolder { id, run_at }) = holder else {
            let message = format!("It waits for its turn among the jobs with the key {key:?}.");
            return Some(Wait::new(Cause::KeyHeld, message));
        };
        let until = run_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
        let until = until.map(|at| format!(", and is tried again at {at}")).unwrap_or_default();
        let message = format!("Job {id} has the turn of the key {key:?}{until}.");
        Some(Wait { job_id: Some(id), until: run_at, ..Wait::new(Cause::KeyHeld, message) })
    }

    /// The wait of a job that runs alone. Few jobs do, so what runs is read for each.
    async fn of_suspect(&self) -> Wait {
        let running = tokio::time::timeout(PATIENCE, self.store.lease_suspect()).await;
        let message = "Its workers were lost while they held it, so the job runs alone: an \
                       instance runs one such job at a time.";
        let job_id = running.ok().and_then(Result::ok).flatten();
        Wait { job_id, ..Wait::new(Cause::Suspect, message) }
    }
}

fn recent(read: &Option<Read>) -> Option<Option<Arc<Known>>> {
    read.as_ref().filter(|(at, _)| at.elapsed() < FRESH).map(|(_, known)| known.clone())
}

/// The wait of a job whose time has not come.
fn of_time(job: &Job) -> Wait {
    let at = job.run_at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let wait = if job.attempt_count > 0 {
        let (next, most) = (job.attempt_count + 1, job.max_attempts);
        let message = format!("Its next attempt, {next} of {most}, begins at {at}.");
        Wait::new(Cause::Retry, message)
    } else {
        Wait::new(Cause::Scheduled, format!("It does not start before {at}."))
    };
    Wait { until: Some(job.run_at), ..wait }
}

impl Known {
    /// Of the kinds of workers that there are.
    fn new(workers: Vec<Serving>, paused: Vec<(String, Pause)>) -> Self {
        let mut places = BTreeMap::new();
        for worker in &workers {
            for task in &worker.tasks {
                let served =
                    places.entry(task.clone()).or_insert_with(|| Places::In(HashSet::new()));
                match (served, &worker.queues) {
                    (Places::In(known), Some(queues)) => known.extend(queues.iter().cloned()),
                    (served, None) => *served = Places::Everywhere,
                    (Places::Everywhere, Some(_)) => {}
                }
            }
        }
        Self { places, paused: paused.into_iter().collect(), workers }
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

    fn hints(&self, queue: &str, task: &str, resembles: bool) -> Vec<String> {
        self.obstacles(queue, task, resembles).filter_map(|wait| wait.warning()).collect()
    }

    /// With the name that a task which nobody serves `resembles`, if that is to be looked for.
    fn obstacles(&self, queue: &str, task: &str, resembles: bool) -> impl Iterator<Item = Wait> {
        let paused = self.paused.get(queue).map(|pause| {
            let until = pause.until.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
            let until = until.map(|at| format!(" until {at}")).unwrap_or_default();
            let reason = pause.reason.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
            let message = format!(
                "The queue {queue} is paused{until}{reason}, so the job waits. POST \
                 /queues/{queue}/resume starts it."
            );
            Wait { until: pause.until, ..Wait::new(Cause::QueuePaused, message) }
        });
        paused.into_iter().chain(self.unserved(queue, task, resembles))
    }

    fn unserved(&self, queue: &str, task: &str, resembles: bool) -> Option<Wait> {
        let nobody = format!("No running worker serves the task {task:?}");
        Some(match self.places.get(task) {
            Some(Places::Everywhere) => return None,
            Some(Places::In(queues)) if queues.contains(queue) => return None,
            Some(Places::In(_)) => Wait::new(
                Cause::QueueUnserved,
                format!("{nobody} in the queue {queue}, so the job waits."),
            ),
            None if self.workers.is_empty() => Wait::new(
                Cause::NoWorker,
                format!("{nobody} or any other, so the job waits. Start a service with workers."),
            ),
            None => {
                let names = || self.places.keys().map(String::as_str).collect::<Vec<_>>();
                let hint = if resembles { did_you_mean(task, &names()) } else { String::new() };
                Wait::new(Cause::TaskUnserved, format!("{nobody}, so the job waits.{hint}"))
            }
        })
    }

    /// The wait of a job that nothing else holds.
    fn of_slot(&self, queue: &str, task: &str) -> Wait {
        let serves = |worker: &&Serving| {
            let takes = |queues: &Vec<String>| queues.iter().any(|it| it == queue);
            worker.queues.as_ref().is_none_or(takes) && worker.tasks.iter().any(|it| it == task)
        };
        let workers = self.workers.iter().filter(serves);
        let (running, slots) =
            workers.fold((0, 0), |sum, it| (sum.0 + it.running, sum.1 + it.slots));
        let message = format!(
            "It waits for its turn and a free slot. At their last heartbeats the workers that \
             serve it ran {running} jobs in {slots} slots."
        );
        Wait::new(Cause::Slot, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn worker(queues: Option<&[&str]>, tasks: &[&str], running: i64, slots: i64) -> Serving {
        Serving { queues: queues.map(texts), tasks: texts(tasks), running, slots }
    }

    #[test]
    fn says_what_is_paused_and_what_nobody_serves_where() {
        let workers = vec![
            worker(Some(&["here"]), &["echo"], 0, 1),
            worker(None, &["echo"], 3, 4),
            worker(Some(&["mail"]), &["send_email", "echo"], 5, 8),
            worker(Some(&["post"]), &["send_email"], 0, 16),
        ];
        let until = DateTime::from_timestamp(1_795_507_200, 0);
        let reason = Some("the server moves".to_owned());
        let pause = Pause { at: Utc::now(), until: None, by: None, reason: None };
        let timed = Pause { until, reason, ..pause.clone() };
        let known = Known::new(workers, vec![("slow".into(), pause), ("timed".into(), timed)]);
        let hints = |queue, task| known.hints(queue, task, true);
        let causes =
            |queue, task| known.obstacles(queue, task, true).map(|it| it.cause).collect::<Vec<_>>();
        assert!(hints("default", "echo").is_empty());
        assert!(hints("mail", "send_email").is_empty() && hints("post", "send_email").is_empty());
        assert!(hints("slow", "echo")[0].contains("/queues/slow/resume"));
        let timed = "timed is paused until 2026-11-24T08:00:00Z (the server moves), so";
        assert!(hints("timed", "echo")[0].contains(timed), "{:?}", hints("timed", "echo"));
        let wait = known.obstacles("timed", "echo", true).next();
        assert_eq!(wait.and_then(|wait| wait.until), until);
        assert!(hints("default", "send_email")[0].contains("in the queue default"));
        assert_eq!(causes("default", "send_email"), [Cause::QueueUnserved]);
        let both = hints("slow", "send_emial");
        assert!(both[1].ends_with("Did you mean `send_email`?"), "{both:?}");
        assert_eq!(causes("slow", "send_emial"), [Cause::QueuePaused, Cause::TaskUnserved]);
        let slot = known.of_slot("mail", "echo");
        assert!(slot.message.contains("8 jobs in 12 slots"), "{slot:?}");
        assert_eq!(slot.warning(), None);
        let nobody = Known::new(Vec::new(), Vec::new());
        let waits: Vec<Wait> = nobody.obstacles("default", "echo", true).collect();
        assert_eq!(waits[0].cause, Cause::NoWorker);
        assert!(waits[0].message.starts_with("No running worker serves the task \"echo\""));
    }

    #[test]
    fn only_the_first_of_many_tasks_that_nobody_serves_are_compared_with_those_that_are() {
        let known = Known::new(vec![worker(None, &["send_email"], 0, 1)], Vec::new());
        let tasks: Vec<String> = (0..10_000).map(|nth| format!("send_email{nth}")).collect();
        let hints = known.hints_of(tasks.iter().map(|task| ("default", task.as_str())));
        let compared = hints.iter().filter(|hints| hints[0].contains("Did you mean")).count();
        assert_eq!((hints.len(), compared), (tasks.len(), SUGGESTED_MOST));
    }
}
