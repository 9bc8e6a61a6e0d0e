//! Outcomes, settled many in one statement: at once when none is in flight, and meanwhile they
//! gather. The buffer outlives an outage of the database; an outcome whose lease did not is
//! answered as stale, and changes nothing.
//!
//! The buffer is bounded by count and by bytes. While it is full, jobs that have ended keep their
//! slots, and nothing is claimed.
//!
//! A second statement flies beside the first once a full batch waits, at least half of which can
//! go. That settles a quarter more jobs each second in a drain, since PostgreSQL works on one while
//! the other is flushed. The two never have jobs of one lease, or the second would wait for its row
//! until that flush. A third gave nothing. Outcomes that were refused fly apart from both when they
//! are tried again, and may share leases with them. The later one then waits for a flush, which is
//! rare.

use std::any::Any;
use std::collections::HashSet;
use std::mem;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use metrics::histogram;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::delivery::leases_of;
use super::settler::{APART, Settlements, Settler, TOGETHER};
use super::{Delivery, Key, LetGo};
use crate::events::Events;
use crate::job::{JobId, LeaseId};
use crate::store::Store;
use crate::supervise::Inbox;

/// Outcomes that wait in the channel; a batch that gathers, two in flight and those kept come on
/// top.
pub(super) const WAITING_MOST: usize = 10_000;
/// Outcomes of one statement.
const BATCH_MOST: usize = 1000;
/// Fewer do not fly beside others.
const BESIDE_LEAST: usize = BATCH_MOST / 2;
/// Bytes of results and errors in one statement.
const BYTES_MOST: usize = 16 << 20;
/// No more outcomes are received while so many are kept that the database refused.
const REFUSED_MOST: usize = BATCH_MOST;
/// When outcomes that the database refused are tried again.
const KEPT_LEAST: Duration = Duration::from_millis(500);
const KEPT_MOST: Duration = Duration::from_secs(5);

/// The settler, with every outcome that is on its way: all of it outlives a panic of the loop.
pub(super) struct Completer {
    settler: Settler,
    let_go: LetGo,
    events: Events,
    settlements: mpsc::Receiver<Delivery>,
    /// The way to the teller.
    tell: mpsc::UnboundedSender<Vec<JobId>>,
    waiting: Waiting,
    kept: Kept,
    flying: Flying,
    again: Flying,
}

type Flying = FuturesUnordered<BoxFuture<'static, Landed>>;

impl Completer {
    pub(super) fn new(
        store: Store,
        let_go: LetGo,
        events: Events,
        settlements: mpsc::Receiver<Delivery>,
        tell: mpsc::UnboundedSender<Vec<JobId>>,
    ) -> Self {
        let settler =
            Settler { store, leftovers: events.leftovers.clone(), gates: events.gates.clone() };
        let (waiting, kept) = (Waiting::default(), Kept::new());
        let (flying, again) = (Flying::new(), Flying::new());
        Self { settler, let_go, events, settlements, tell, waiting, kept, flying, again }
    }

    /// Settles until the last sender is gone.
    pub(super) async fn run(completer: Inbox<Self>) {
        let mut it = completer.lock().await;
        let mut open = true;
        loop {
            it.take_off();
            if !open && it.is_idle() {
                return;
            }
            let Self { settlements, waiting, kept, flying, again, .. } = &mut *it;
            let panicked = tokio::select! {
                Some(landed) = flying.next() => {
                    waiting.landed(landed.leases);
                    kept.add(landed.kept);
                    landed.panicked
                }
                Some(landed) = again.next() => {
                    kept.tried(landed.kept);
                    landed.panicked
                }
                () = sleep_until(kept.at), if !kept.is_empty() && again.is_empty() => {
                    let batch = kept.take();
                    let flight = it.fly(batch, APART);
                    it.again.push(flight);
                    None
                }
                come = waiting.receive(settlements), if open && waiting.has_room() && kept.has_room() => {
                    open = come;
                    None
                }
            };
            if let Some(panic) = panicked {
                resume_unwind(panic);
            }
        }
    }

    /// Whether every outcome is settled and no more will come.
    pub(super) fn is_over(completer: &Inbox<Self>) -> bool {
        completer.try_lock().is_ok_and(|it| {
            it.settlements.is_closed()
                && it.settlements.is_empty()
                && it.waiting.outcomes.is_empty()
                && it.is_idle()
        })
    }

    fn is_idle(&self) -> bool {
        self.flying.is_empty() && self.again.is_empty() && self.kept.is_empty()
    }

    fn take_off(&mut self) {
        while let Some(batch) = self.waiting.next(self.flying.len()) {
            let flight = self.fly(batch, TOGETHER);
            self.flying.push(flight);
        }
    }

    /// Settles a batch. Where that panics, all of it is kept.
    fn fly(&self, batch: Vec<Delivery>, tries: u32) -> BoxFuture<'static, Landed> {
        let (settler, let_go) = (self.settler.clone(), self.let_go.clone());
        let (events, tell) = (self.events.clone(), self.tell.clone());
        let settle = async move {
            let settled = settle_all(&settler, &batch, tries, &let_go, &events, &tell);
            match AssertUnwindSafe(settled).catch_unwind().await {
                Ok(landed) => landed,
                Err(panic) => {
                    Landed { leases: leases_of(&batch), kept: batch, panicked: Some(panic) }
                }
            }
        };
        settle.boxed()
    }
}

/// Outcomes that wait for a statement, and the leases of those that are in one.
#[derive(Default)]
struct Waiting {
    outcomes: Vec<Delivery>,
    busy: HashSet<LeaseId>,
}

impl Waiting {
    fn has_room(&self) -> bool {
        self.outcomes.len() < BATCH_MOST
    }

    /// Takes what has come, or waits for it; `false` if no more will come.
    async fn receive(&mut self, settlements: &mut mpsc::Receiver<Delivery>) -> bool {
        let room = BATCH_MOST.saturating_sub(self.outcomes.len());
        settlements.recv_many(&mut self.outcomes, room).await > 0
    }

    /// The batch of the next statement, if one may fly while so many do. It is all that waits if
    /// none does. If one does, it is the outcomes of other leases, since the rows of its leases are
    /// locked until its flush. They must be worth a flush.
    fn next(&mut self, flying: usize) -> Option<Vec<Delivery>> {
        let mut batch = match flying {
            0 => mem::take(&mut self.outcomes),
            1 if !self.has_room() => {
                let free = |outcome: &Delivery| !self.busy.contains(&outcome.settlement.lease);
                if self.outcomes.iter().filter(|outcome| free(outcome)).count() < BESIDE_LEAST {
                    return None;
                }
                self.outcomes.extract_if(.., |outcome| free(outcome)).collect()
            }
            _ => return None,
        };
        // Of two outcomes of one job the first counts; a statement that had both would end it and
        // put it back.
        let mut seen = HashSet::with_capacity(batch.len());
        batch.retain(|outcome| seen.insert(outcome.key()));
        self.busy.extend(leases_of(&batch));
        (!batch.is_empty()).then_some(batch)
    }

    fn landed(&mut self, leases: Vec<LeaseId>) {
        for lease in leases {
            self.busy.remove(&lease);
        }
    }
}

/// Outcomes that the database refused, until they are tried again: apart from the others, which
/// they do not hold up.
struct Kept {
    outcomes: Vec<Delivery>,
    /// How many fly again.
    trying: usize,
    at: Instant,
    pause: Duration,
}

impl Kept {
    fn new() -> Self {
        Self { outcomes: Vec::new(), trying: 0, at: Instant::now(), pause: KEPT_LEAST }
    }

    fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    fn has_room(&self) -> bool {
        self.outcomes.len() + self.trying < REFUSED_MOST
    }

    /// Takes all of them for another try.
    fn take(&mut self) -> Vec<Delivery> {
        self.trying = self.outcomes.len();
        mem::take(&mut self.outcomes)
    }

    fn add(&mut self, outcomes: Vec<Delivery>) {
        if self.is_empty() {
            self.at = Instant::now() + self.pause;
        }
        self.outcomes.extend(outcomes);
    }

    /// Takes back what was refused again; the next try comes later then.
    fn tried(&mut self, refused: Vec<Delivery>) {
        self.trying = 0;
        self.pause = if refused.is_empty() { KEPT_LEAST } else { (self.pause * 2).min(KEPT_MOST) };
        self.at = Instant::now() + self.pause;
        self.outcomes.extend(refused);
    }
}

/// The rest of a batch once it has been settled.
struct Landed {
    leases: Vec<LeaseId>,
    kept: Vec<Delivery>,
    /// A panic that the supervisor is to hear of.
    panicked: Option<Box<dyn Any + Send>>,
}

/// Settles what fits into a statement or more, and tells of it.
async fn settle_all(
    settler: &Settler,
    batch: &[Delivery],
    tries: u32,
    let_go: &LetGo,
    events: &Events,
    tell: &mpsc::UnboundedSender<Vec<JobId>>,
) -> Landed {
    histogram!("reveille_settle_batch_size").record(u32::try_from(batch.len()).unwrap_or(u32::MAX));
    let (mut rest, mut kept) = (batch, Vec::new());
    while !rest.is_empty() {
        let (part, more) = rest.split_at(fitting(rest));
        let Settlements { ended, kept: refused } = settler.settle(part, tries).await;
        kept.extend(refused);
        if !ended.is_empty() {
            events.ends.ended(ended.iter().copied());
            let _ = tell.send(ended);
        }
        rest = more;
    }
    let leases = leases_of(batch);
    let unsettled: HashSet<Key> = kept.iter().map(Delivery::key).collect();
    let settled = batch.iter().map(Delivery::key).filter(|key| !unsettled.contains(key));
    let_go(&settled.collect::<Vec<_>>());
    Landed { leases, kept, panicked: None }
}

/// How many of the first outcomes go into one statement: one at least.
fn fitting(batch: &[Delivery]) -> usize {
    let mut bytes = 0;
    let fits = |outcome: &&Delivery| {
        bytes += outcome.settlement.ending.bytes();
        bytes <= BYTES_MOST
    };
    batch.iter().take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::job::ending::Ending;
    use crate::job::json::Json;
    use crate::store::lease::Settlement;

    /// One outcome of each of these leases.
    fn of(leases: impl IntoIterator<Item = u128>) -> Vec<Delivery> {
        let settlement = |lease| Settlement {
            lease: LeaseId(Uuid::from_u128(lease)),
            id: JobId(Uuid::now_v7()),
            place: 1,
            attempt: 1,
            ending: Ending::Completed(Json::null()),
            begun: true,
            keyed: false,
            timed: false,
        };
        let outcome =
            |lease| Delivery { settlement: settlement(lease), meter: None, turn: None, room: None };
        leases.into_iter().map(outcome).collect()
    }

    fn leases(batch: Option<Vec<Delivery>>) -> Option<Vec<u128>> {
        batch
            .map(|batch| batch.iter().map(|outcome| outcome.settlement.lease.0.as_u128()).collect())
    }

    #[test]
    fn a_second_statement_flies_with_half_a_batch_or_more_and_without_leases_of_the_first() {
        let many = |lease, count| std::iter::repeat_n(lease, count);
        let mut waiting = Waiting { outcomes: of([1, 2]), ..Waiting::default() };
        assert_eq!(leases(waiting.next(0)), Some(vec![1, 2]));
        waiting.outcomes = of(many(3, BATCH_MOST - 1));
        assert_eq!(leases(waiting.next(1)), None, "more may gather");
        waiting.outcomes = of(many(2, BESIDE_LEAST + 1).chain(many(3, BESIDE_LEAST - 1)));
        assert_eq!(leases(waiting.next(1)), None, "most of them would wait for the first");
        waiting.outcomes = of(many(2, BESIDE_LEAST).chain(many(3, BESIDE_LEAST)));
        assert_eq!(leases(waiting.next(1)), Some(vec![3; BESIDE_LEAST]));
        assert_eq!(leases(waiting.next(2)), None);
        // The first has landed, while the second still flies.
        waiting.landed([1, 2].map(|lease| LeaseId(Uuid::from_u128(lease))).to_vec());
        waiting.outcomes.extend(of(many(3, BESIDE_LEAST)));
        assert_eq!(leases(waiting.next(1)), Some(vec![2; BESIDE_LEAST]));
        waiting.outcomes = of(many(3, BATCH_MOST));
        assert_eq!(leases(waiting.next(1)), None, "all of these are in flight");
    }

    #[test]
    fn of_two_outcomes_of_one_job_in_a_batch_the_first_counts() {
        let mut outcomes = of([1, 1]);
        let mut released = outcomes[0].clone();
        released.settlement.ending = Ending::Release;
        outcomes.insert(1, released);
        let batch = Waiting { outcomes, ..Waiting::default() }.next(0).expect("a batch");
        assert_eq!(batch.len(), 2);
        let completed = |it: &Delivery| matches!(it.settlement.ending, Ending::Completed(_));
        assert!(batch.iter().all(completed));
    }

    #[test]
    fn no_more_are_received_while_many_are_refused_and_until_they_have_been_tried_again() {
        let mut kept = Kept::new();
        kept.add(of(0..REFUSED_MOST as u128 - 1));
        assert!(kept.has_room());
        kept.add(of([1]));
        assert!(!kept.has_room());
        let flying = kept.take();
        assert!(kept.is_empty() && !kept.has_room(), "these fly, and may be refused again");
        kept.tried(flying);
        assert!(!kept.has_room());
        kept.take();
        kept.tried(of([1]));
        assert!(kept.has_room());
    }

    #[test]
    fn a_statement_is_bounded_by_bytes_and_takes_one_at_least() {
        let outcome = |bytes: usize| {
            let result = Json::from_serialize(&"x".repeat(bytes)).expect("is JSON");
            let mut outcome = of([1]).remove(0);
            outcome.settlement.ending = Ending::Completed(result);
            outcome
        };
        let half = BYTES_MOST / 2 - 2;
        assert_eq!(fitting(&[outcome(half), outcome(half), outcome(1)]), 2);
        assert_eq!(fitting(&[outcome(BYTES_MOST + 1), outcome(0)]), 1);
    }
}
