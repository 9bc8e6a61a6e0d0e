//! The ends of jobs by queue and task, as metrics. Their handles are looked up once for each claim
//! and lane, and go with the jobs. A metric that is looked up by its labels is hashed again each
//! time.
//!
//! A label never goes again, so only the first hundred queues have their own, and the others share
//! one.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use metrics::{Counter, Histogram, counter, histogram};

use crate::queue::{QueueName, TaskName};

/// Queues with a label of their own.
pub(crate) const QUEUES_MOST: usize = 100;
/// Tasks with a label of their own, where any task may come.
const TASKS_MOST: usize = 100;
/// The label of all the others.
pub(crate) const OTHERS: &str = "(others)";
/// How an attempt can end, with what came too late.
pub(crate) const OUTCOMES: [&str; 9] = [
    "completed",
    "failed",
    "cancelled",
    "retry",
    "snooze",
    "release",
    "unbegun",
    "lease_lost",
    "already_final",
];

/// Counts the ends of attempts at jobs of one queue and task.
pub(crate) struct Meter {
    pub queue: QueueName,
    pub task: TaskName,
    figures: Arc<Figures>,
}

impl Meter {
    /// An attempt has ended so.
    pub(crate) fn ended(&self, outcome: &'static str) {
        self.figures.count(outcome, 1);
    }

    /// An attempt ran for so many seconds.
    pub(crate) fn ran(&self, seconds: f64) {
        self.figures.run.record(seconds);
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("queue", &self.queue).field("task", &self.task).finish()
    }
}

/// The handles of one pair of labels; those of outcomes are made when they are needed.
struct Figures {
    queue: String,
    task: String,
    outcomes: [OnceLock<Counter>; OUTCOMES.len()],
    run: Histogram,
}

impl Figures {
    fn new(queue: &str, task: &str) -> Self {
        let run = histogram!("reveille_job_run_seconds", "task" => task.to_owned());
        Self { queue: queue.to_owned(), task: task.to_owned(), outcomes: Default::default(), run }
    }

    fn count(&self, outcome: &'static str, count: u64) {
        let counter = || outcomes(outcome, &self.task, &self.queue);
        match OUTCOMES.iter().position(|known| *known == outcome) {
            Some(nth) => self.outcomes[nth].get_or_init(counter).increment(count),
            None => counter().increment(count),
        }
    }
}

/// The meters of an instance. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Meters(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    known: HashMap<(QueueName, TaskName), Arc<Meter>>,
    queues: HashSet<QueueName>,
    /// By task, of queues that have no label.
    others: HashMap<TaskName, Arc<Figures>>,
}

impl Meters {
    /// With the tasks of this instance in the default queue, none of whose jobs has ended.
    pub(crate) fn of_tasks<'a>(tasks: impl Iterator<Item = &'a TaskName>) -> Self {
        let meters = Self::default();
        for task in tasks {
            let meter = meters.of(&QueueName::default(), task);
            for outcome in OUTCOMES {
                meter.figures.count(outcome, 0);
            }
        }
        meters
    }

    /// That of this queue and task.
    pub(crate) fn of(&self, queue: &QueueName, task: &TaskName) -> Arc<Meter> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let names = (queue.clone(), task.clone());
        if let Some(meter) = state.known.get(&names) {
            return meter.clone();
        }
        let (queue, task) = names.clone();
        if state.queues.contains(&queue) || state.queues.len() < QUEUES_MOST {
            state.queues.insert(queue.clone());
            let figures = Arc::new(Figures::new(queue.as_str(), task.as_str()));
            let meter = Arc::new(Meter { queue, task, figures });
            state.known.insert(names, meter.clone());
            return meter;
        }
        let others = state.others.entry(task.clone());
        let figures = others.or_insert_with(|| Arc::new(Figures::new(OTHERS, task.as_str())));
        Arc::new(Meter { queue, figures: figures.clone(), task })
    }
}

/// The label of a task in metrics of the whole service. Any SQL can submit jobs of any task, so
/// only the first hundred have their own.
pub(crate) fn task_label(task: &str) -> String {
    static NAMED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    label(&NAMED, TASKS_MOST, task)
}

/// An attempt has ended so, at a job of which this instance does not know the task.
pub(crate) fn ended_unknown(outcome: &'static str) {
    outcomes(outcome, OTHERS, OTHERS).increment(1);
}

/// A job of this queue failed because its time was over.
pub(crate) fn out_of_time(code: &str, queue: &str) {
    counter!("reveille_jobs_out_of_time_total", "code" => code.to_owned(), "queue" => queue_label(queue))
        .increment(1);
}

/// The label of this queue: its own, or that of the others. For what is counted seldom, and not by
/// this instance's own jobs alone.
fn queue_label(queue: &str) -> String {
    static NAMED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    label(&NAMED, QUEUES_MOST, queue)
}

/// This name, if it is one of the first `most`.
fn label(named: &Mutex<BTreeSet<String>>, most: usize, name: &str) -> String {
    let mut named = named.lock().unwrap_or_else(PoisonError::into_inner);
    if named.len() < most {
        named.insert(name.to_owned());
    }
    if named.contains(name) { name.to_owned() } else { OTHERS.to_owned() }
}

fn outcomes(outcome: &'static str, task: &str, queue: &str) -> Counter {
    counter!("reveille_job_outcomes_total", "outcome" => outcome, "task" => task.to_owned(),
        "queue" => queue.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_beyond_a_hundred_share_their_figures() {
        let (meters, task) = (Meters::default(), TaskName::trusted("t"));
        let of = |nth: usize| meters.of(&QueueName::trusted(&format!("q{nth}")), &task);
        let first: Vec<Arc<Meter>> = (0..QUEUES_MOST + 2).map(of).collect();
        assert!(Arc::ptr_eq(&first[7], &of(7)));
        assert!(!Arc::ptr_eq(&first[7].figures, &first[8].figures));
        assert!(Arc::ptr_eq(&first[QUEUES_MOST].figures, &first[QUEUES_MOST + 1].figures));
        assert_eq!(first[QUEUES_MOST + 1].queue.as_str(), format!("q{}", QUEUES_MOST + 1));
        assert_eq!(first[QUEUES_MOST].figures.queue, OTHERS);
    }
}
