//! Turns of concurrency keys are given on: to the next jobs of a key when one has ended, and to jobs
//! that have come.
//!
//! Each instance does it. A turn that an outcome gave back goes on at once, by its key. Jobs that have
//! come are found by a sweep of their queue, which one session makes at a time, since the order of a key
//! depends on it. All that is to be done lies in the database. So a notice that is lost, or a process
//! that dies, costs time: until the poll, or until the leader's next look at the gates.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::LeaderService;
use crate::events::{Asked, Events, Freed, Source};
use crate::queue::QueueName;
use crate::shutdown::Shutdown;
use crate::store::gate::{Opened, Pass};
use crate::store::{Result, Store};

/// When a queue is looked at again after a notice: others were skipped while the notifier committed.
const LOOKS: [Duration; 3] =
    [Duration::from_millis(5), Duration::from_millis(50), Duration::from_millis(250)];
/// When a sweep is tried again that another session is at, and gates that another one has locked.
const BUSY: Duration = Duration::from_millis(10);
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How often the leader looks for turns that nobody was told of.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Gives turns on until the service stops. `poll` is how often it looks without a notice.
pub(crate) async fn give_turns(store: Store, events: Events, poll: Duration, shutdown: Shutdown) {
    let keeper = Keeper { store, events, poll, queues: HashMap::new(), busy: HashMap::new() };
    shutdown.stopping.run_until_cancelled(keeper.run()).await;
}

struct Keeper {
    store: Store,
    events: Events,
    poll: Duration,
    /// Queues that are to be swept.
    queues: HashMap<QueueName, Sweep>,
    /// Keys whose gates another session had locked.
    busy: HashMap<QueueName, HashSet<String>>,
}

/// The next pass over a queue.
struct Sweep {
    at: Instant,
    /// The key to begin behind.
    begin: String,
    /// How often it was looked at since the last notice.
    looks: usize,
}

impl Keeper {
    async fn run(mut self) {
        let (mut poll_at, mut busy_at) = (Instant::now(), Instant::now());
        loop {
            let Asked { queues, all, mut freed, .. } = self.events.gates.take();
            let now = Instant::now();
            queues.into_iter().for_each(|queue| self.notice(queue, now));
            if busy_at <= now {
                for (queue, keys) in self.busy.drain() {
                    freed.entry(queue).or_default().keys.extend(keys);
                }
                busy_at = now + BUSY;
            }
            for (queue, freed) in freed {
                self.open(queue, freed).await;
            }
            if all || poll_at <= now {
                self.poll().await;
                poll_at = Instant::now() + self.poll;
            }
            self.sweep_next().await;
            let busy = (!self.busy.is_empty()).then_some(busy_at);
            let next = self.queues.values().map(|sweep| sweep.at).chain(busy).min();
            let rest = next.unwrap_or(poll_at).min(poll_at).duration_since(Instant::now());
            let _ = tokio::time::timeout(rest, self.events.gates.asked()).await;
        }
    }

    /// The queue is swept now, and a few times more.
    fn notice(&mut self, queue: QueueName, now: Instant) {
        let sweep = self.queues.entry(queue).or_insert_with(|| Sweep::at(now));
        (sweep.at, sweep.looks) = (now, 0);
    }

    /// Asks which queues are to be swept.
    async fn poll(&mut self) {
        match self.store.gate_due().await {
            Ok(due) => {
                for (queue, wait) in due {
                    let at = Instant::now() + wait.min(2 * self.poll);
                    let sweep = self.queues.entry(queue).or_insert_with(|| Sweep::at(at));
                    sweep.at = sweep.at.min(at);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "it could not be asked which jobs wait for their keys");
            }
        }
    }

    /// Gives on turns that were given back.
    async fn open(&mut self, queue: QueueName, freed: Freed) {
        let keys: Vec<String> = freed.keys.into_iter().collect();
        match self.store.gate_open(&queue, &keys, &freed.yielding).await {
            Ok(opened) => self.tell(queue, opened),
            Err(error) => {
                tracing::debug!(%error, queue.name = %queue, "turns could not be given on; it is tried again");
                self.busy.entry(queue).or_default().extend(keys);
            }
        }
    }

    /// Makes a pass over the queue whose time has come first.
    async fn sweep_next(&mut self) {
        let now = Instant::now();
        let due = self.queues.iter().filter(|(_, sweep)| sweep.at <= now);
        let Some(queue) = due.min_by_key(|(_, sweep)| sweep.at).map(|(queue, _)| queue.clone())
        else {
            return;
        };
        let Some(sweep) = self.queues.remove(&queue) else { return };
        let again = match self.store.gate_sweep(&queue, &sweep.begin).await {
            Ok(None) => Some(Sweep { at: Instant::now() + BUSY, ..sweep }),
            Ok(Some(pass)) => {
                let Pass { opened, .. } = &pass;
                let again = sweep.after(&pass, !opened.busy.is_empty(), Instant::now());
                self.tell(queue.clone(), pass.opened);
                again
            }
            Err(error) => {
                tracing::debug!(%error, queue.name = %queue, "jobs that wait for their keys could not be looked for; it is tried again");
                Some(Sweep { at: Instant::now() + AFTER_FAILURE, ..sweep })
            }
        };
        if let Some(again) = again {
            self.queues.insert(queue, again);
        }
    }

    /// Wakes this process's own dispatcher; the others hear of it from PostgreSQL.
    fn tell(&mut self, queue: QueueName, opened: Opened) {
        let Opened { lanes, busy } = opened;
        if !lanes.is_empty() {
            self.events.wakes.wake(|pending| {
                lanes.into_iter().for_each(|lane| pending.lane(lane, Source::Local));
            });
        }
        if !busy.is_empty() {
            self.busy.entry(queue).or_default().extend(busy);
        }
    }
}

impl Sweep {
    fn at(at: Instant) -> Self {
        Self { at, begin: String::new(), looks: LOOKS.len() }
    }

    /// The pass that follows this one; `None`: there is nothing to be done.
    fn after(self, pass: &Pass, busy: bool, now: Instant) -> Option<Self> {
        let goes_round = pass.reached.is_some() || !self.begin.is_empty();
        let begin = pass.reached.clone().unwrap_or_default();
        if pass.any || goes_round {
            return Some(Self { at: now, begin, ..self });
        }
        let look = if busy { Some(&BUSY) } else { LOOKS.get(self.looks) };
        let wait = look.copied().into_iter().chain(pass.next).min()?;
        let looks = self.looks + usize::from(!busy);
        // A clock has no later time than this.
        let at = now.checked_add(wait)?;
        Some(Self { at, begin, looks })
    }
}

/// The leader looks for turns that nobody was told of: a worker died after it had settled, or keys have
/// more turns now.
pub(crate) struct LostTurns {
    store: Store,
    events: Events,
    /// The gate to go on behind, while there are more.
    last: Mutex<Option<(String, String)>>,
}

impl LostTurns {
    pub(crate) fn new(store: Store, events: Events) -> Self {
        Self { store, events, last: Mutex::default() }
    }

    fn last(&self) -> MutexGuard<'_, Option<(String, String)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LeaderService for LostTurns {
    const FAILED: &'static str =
        "turns of concurrency keys that nobody was told of could not be looked for";

    fn every(&self) -> Duration {
        LOOK_EVERY
    }

    /// Between two pages it rests a little. Its rest ends early when keys may have more turns.
    async fn rest(&self) {
        if self.last().is_some() {
            return tokio::time::sleep(BUSY).await;
        }
        let _ = tokio::time::timeout(LOOK_EVERY, self.events.gates.changed()).await;
    }

    async fn run_once(&self) -> Result<()> {
        let begin = self.last().take().unwrap_or_default();
        let (noted, last) = self.store.gate_look((&begin.0, &begin.1)).await?;
        if noted > 0 {
            tracing::debug!(keys = noted, "concurrency keys have turns that nobody was told of");
        }
        if last.is_none() {
            self.store.gate_tidy().await?;
        }
        *self.last() = last;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(begin: &str, looks: usize) -> Sweep {
        Sweep { at: Instant::now(), begin: begin.into(), looks }
    }

    #[test]
    fn a_pass_is_followed_by_another_while_there_is_more_and_by_a_few_looks_after_a_notice() {
        let now = Instant::now();
        let after = |sweep: Sweep, pass: &Pass| {
            sweep.after(pass, false, now).map(|it| (it.at - now, it.begin, it.looks))
        };
        let none = Pass::default();
        let more = Pass { any: true, reached: Some("k".into()), ..Pass::default() };
        assert_eq!(after(sweep("", 0), &more), Some((Duration::ZERO, "k".into(), 0)));
        assert_eq!(after(sweep("k", 3), &none), Some((Duration::ZERO, String::new(), 3)));
        for (nth, look) in LOOKS.into_iter().enumerate() {
            assert_eq!(after(sweep("", nth), &none), Some((look, String::new(), nth + 1)));
        }
        assert_eq!(after(sweep("", LOOKS.len()), &none), None);
        let later = Pass { next: Some(Duration::from_secs(9)), ..Pass::default() };
        let timer = Some((Duration::from_secs(9), String::new(), 4));
        assert_eq!(after(sweep("", LOOKS.len()), &later), timer);
        assert!(sweep("", 3).after(&none, true, now).is_some_and(|it| it.at - now == BUSY));
    }
}
