//! Writing what has gathered, and telling this process's own dispatcher.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use metrics::histogram;
use tokio::sync::{Mutex, MutexGuard, Notify, mpsc};
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep};

use super::answers::Answers;
use super::{Answer, LIBRARY, Request, SubmitError};
use crate::events::{Source, Wakes};
use crate::job::JobId;
use crate::job::state::Status;
use crate::job::submission::Submission;
use crate::store::submission::{DOUBLED, Outcome, Written, is_due_soon, lane_of, seconds_until};
use crate::store::{Error, Result as StoreResult, Store};

/// Rows and payload bytes of one INSERT.
const ROWS_MOST: usize = 500;
const BYTES_MOST: usize = 4 << 20;
/// How many gathered jobs are worth an INSERT of their own beside the one in flight.
const MANY: usize = 32;
/// How long a group waits for the INSERT in flight.
const BESIDE_AFTER: Duration = Duration::from_millis(3);
/// Callers of fewer jobs are not expected to come again.
const AGAIN_LEAST: usize = 8;
/// For how long they are expected after their group ended, and how long the next group waits for them, at most but for what
/// [`wait_until`] is late.
const AGAIN_WITHIN: Duration = Duration::from_millis(50);
const AGAIN_WAIT: Duration = Duration::from_millis(10);
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone)]
pub(super) struct Writer {
    pub(super) store: Store,
    /// `None`: there is no dispatcher to wake.
    pub(super) wakes: Option<Wakes>,
}

impl Writer {
    /// Writes jobs without unique keys, as they come.
    pub(super) async fn run(self, plain: Arc<Plain>) {
        let mut timer = pin!(sleep(Duration::ZERO));
        while let Some((batch, mut alone)) = plain.gather(timer.as_mut()).await {
            let by_library = alone.is_some() && batch.iter().all(|request| request.door == LIBRARY);
            let (jobs, begun) = (batch.len(), Instant::now());
            let answers = self.write(batch).await;
            if let Some(turn) = &mut alone {
                turn.ended(jobs, begun);
            }
            if by_library {
                answers.tell_together().await;
                // Callers in this process come again before the next INSERT flies, and so share it: 15 of 16 callers instead of 12.
                // A client over HTTP takes longer, which would leave PostgreSQL idle.
                yield_now().await;
            } else {
                drop(answers);
            }
            drop(alone);
        }
    }

    async fn write(&self, batch: Vec<Request>) -> Answers {
        // Nobody waits longer than was promised because others came first.
        let deadline =
            batch.iter().map(|request| request.deadline).min().unwrap_or_else(Instant::now);
        let (jobs, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|request| ((request.id, request.job), request.answer)).unzip();
        let result = self.insert(&jobs, deadline).await;
        if let (Err(SubmitError::Refused(_)), true) = (&result, jobs.len() > 1) {
            // One bad row must not fail its neighbours.
            for (job, answer) in jobs.into_iter().zip(answers) {
                let _ = answer.send(self.write_one(&job, deadline).await);
            }
            return Answers::default();
        }
        if result.is_ok() {
            self.announce(&jobs);
        }
        let answer =
            |(id, job): &(JobId, Submission)| result.clone().map(|()| self.created(*id, job));
        Answers::new(answers.into_iter().zip(jobs.iter().map(answer)).collect())
    }

    pub(super) async fn write_one(&self, job: &(JobId, Submission), deadline: Instant) -> Answer {
        self.insert(std::slice::from_ref(job), deadline).await?;
        self.announce(std::slice::from_ref(job));
        Ok(self.created(job.0, &job.1))
    }

    /// Inserts jobs without unique keys, all or none.
    pub(super) async fn insert(
        &self,
        jobs: &[(JobId, Submission)],
        deadline: Instant,
    ) -> Result<(), SubmitError> {
        self.persist(false, false, deadline, |announce, sent| async move {
            match self.store.job_submit(jobs, announce, deadline).await {
                Err(error) if sent && error.state() == Some(DOUBLED) => Ok(()),
                result => result,
            }
        })
        .await
    }

    /// Inserts jobs of which some have a unique key, all or none. Waits `key_wait` for a key that an open transaction holds.
    /// `sent` says that an earlier try may have been kept.
    pub(super) async fn insert_keyed(
        &self,
        jobs: &[(JobId, Submission)],
        sent: bool,
        key_wait: Duration,
        deadline: Instant,
    ) -> Result<Vec<Written>, SubmitError> {
        let written = self
            .persist(true, sent, deadline, |announce, sent| async move {
                // Such a job may have ended by now, and its key may be free: only its id tells that it was kept.
                if sent && let Some(kept) = self.store.job_kept(jobs, deadline).await? {
                    return Ok(kept);
                }
                self.store.job_submit_together(jobs, announce, key_wait, deadline).await
            })
            .await?;
        let mut rejected = Vec::new();
        let mut accepted = Vec::with_capacity(written.len());
        for (nth, written) in written.into_iter().enumerate() {
            match written {
                Ok(written) => accepted.push(written),
                Err(holder) => rejected.push((nth, holder)),
            }
        }
        if rejected.is_empty() { Ok(accepted) } else { Err(SubmitError::Conflict(rejected)) }
    }

    /// Tries to write, announced or not, until it is settled or the deadline has come. `write` is told whether an earlier try
    /// may have been kept.
    async fn persist<T, F: Future<Output = StoreResult<T>>>(
        &self,
        keyed: bool,
        mut sent: bool,
        deadline: Instant,
        write: impl Fn(bool, bool) -> F,
    ) -> Result<T, SubmitError> {
        let (mut announce, mut partitions) = (true, false);
        loop {
            let error = match write(announce, sent).await {
                Ok(written) => return Ok(written),
                Err(error) => error,
            };
            sent |= matches!(error, Error::Unknown(_) | Error::Unexpected(_));
            match error.state() {
                Some("55P03") if keyed && !sent => return Err(SubmitError::KeyBusy),
                // The queue of notifications is full. The jobs matter more than their announcement; the poll finds them.
                Some("54000") if announce => announce = false,
                Some("23514") if !partitions => {
                    partitions = true;
                    let _ = self.store.partition_ensure().await;
                }
                _ if error.is_passing() && Instant::now() + PAUSE < deadline => {
                    sleep(PAUSE).await;
                }
                _ => return Err(refusal(&error, sent)),
            }
        }
    }

    /// Wakes this process's own dispatcher at once; the others hear of it from PostgreSQL.
    pub(super) fn announce(&self, jobs: &[(JobId, Submission)]) {
        if let Some(wakes) = &self.wakes {
            wakes.wake(|pending| {
                let mut last = None;
                for (_, job) in jobs {
                    let lane = lane_of(job);
                    if last.as_ref() == Some(&lane) || !is_due_soon(job, &self.store.clock) {
                        continue;
                    }
                    pending.lanes.entry(lane.clone()).or_insert(Source::Local);
                    last = Some(lane);
                }
            });
        }
        histogram!("reveille_submit_batch_size").record(as_f64(jobs.len()));
    }

    pub(super) fn created(&self, id: JobId, job: &Submission) -> Written {
        let waits = seconds_until(job, &self.store.clock) > 0.0;
        let status = if waits { Status::Scheduled } else { Status::Queued };
        Written { job_id: id, status, outcome: Outcome::Created }
    }
}

/// Where submissions without a unique key gather, for two writers that take turns.
pub(super) struct Plain {
    requests: Mutex<mpsc::Receiver<Request>>,
    turns: Arc<Turns>,
}

impl Plain {
    pub(super) fn new(requests: mpsc::Receiver<Request>, turns: Arc<Turns>) -> Self {
        Self { requests: Mutex::new(requests), turns }
    }

    async fn gather(&self, mut timer: Pin<&mut Sleep>) -> Option<(Vec<Request>, Option<Turn<'_>>)> {
        let mut requests = self.requests.lock().await;
        let mut batch = vec![requests.recv().await?];
        let alone = self.turns.next(timer.as_mut(), || 1 + requests.len()).await;
        let mut room = gather_more(&mut requests, &mut batch);
        let (least, wait) = alone.as_ref().map_or_else(Default::default, |turn| turn.expected());
        let late = Instant::now() + wait;
        while room && batch.len() < least {
            tokio::select! {
                biased;
                Some(request) = requests.recv() => batch.push(request),
                () = wait_until(late, timer.as_mut()) => break,
            }
            room = gather_more(&mut requests, &mut batch);
        }
        Some((batch, alone))
    }
}

/// When the next INSERT may fly. While one is in flight the next waits for its end, and grows: two that take half each cost
/// PostgreSQL and this process more. It flies beside the other if [`MANY`] jobs have gathered, each of which costs hardly more
/// than among twice as many, or if the other takes long. Over HTTP the processor is never idle, and the first costs more there
/// than it gives.
pub(super) struct Turns {
    /// Held by whoever writes. One that flies beside does not, so that the next may fly beside it in turn.
    alone: Mutex<Group>,
    many: Notify,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            alone: Mutex::new(Group { jobs: 0, took: Duration::ZERO, ended: Instant::now() }),
            many: Notify::new(),
        }
    }

    /// A turn, if nobody has it or waits for it, and nobody is expected.
    pub(super) fn at_once(&self) -> Option<Turn<'_>> {
        self.alone.try_lock().ok().filter(|turn| turn.expected().0 == 0)
    }

    /// To be told when a request of the library has come.
    pub(super) fn arrived(&self, requests: &mpsc::Sender<Request>) {
        if requests.max_capacity() - requests.capacity() + 1 >= MANY {
            self.many.notify_one();
        }
    }

    async fn next(&self, timer: Pin<&mut Sleep>, gathered: impl Fn() -> usize) -> Option<Turn<'_>> {
        let late = Instant::now() + BESIDE_AFTER;
        let many = async {
            self.many.notified().await;
            while gathered() < MANY {
                self.many.notified().await;
            }
        };
        tokio::select! {
            biased;
            alone = self.alone.lock() => Some(alone),
            () = many => None,
            () = wait_until(late, timer) => None,
        }
    }
}

/// What a turn leaves to the next: how large its group was.
///
/// Those who are told come again one by one. Were the first of them written alone, all others would wait for that: with eight
/// instances on a small machine every second INSERT had one job.
pub(super) struct Group {
    /// Of the largest group lately: each smaller one takes a quarter from it.
    jobs: usize,
    took: Duration,
    ended: Instant,
}

pub(super) type Turn<'a> = MutexGuard<'a, Group>;

impl Group {
    fn ended(&mut self, jobs: usize, begun: Instant) {
        let ended = Instant::now();
        *self = Self { jobs: jobs.max(self.jobs * 3 / 4), took: ended - begun, ended };
    }

    /// How many jobs the next group should have: half as many, if they can still be expected; and how long it waits for them.
    fn expected(&self) -> (usize, Duration) {
        let gone = self.ended.elapsed() > AGAIN_WITHIN.min(4 * self.took);
        let jobs = if gone || self.jobs < AGAIN_LEAST { 0 } else { self.jobs / 2 };
        (jobs, AGAIN_WAIT.min(self.took / 2))
    }
}

/// Waits with a timer that is used again and again. It stays as it was set before and is set anew only when that has passed, since
/// setting it may wake the thread that waits for all timers, and most waits end sooner. So one may last as long as the longest
/// of those that share the timer.
async fn wait_until(late: Instant, mut timer: Pin<&mut Sleep>) {
    while Instant::now() < late {
        if timer.is_elapsed() {
            timer.as_mut().reset(late);
        }
        timer.as_mut().await;
    }
}

/// Everything that has gathered, and at least one; `None` when no more will come.
pub(super) async fn gather(requests: &mut mpsc::Receiver<Request>) -> Option<Vec<Request>> {
    let mut batch = vec![requests.recv().await?];
    gather_more(requests, &mut batch);
    Some(batch)
}

/// What has gathered meanwhile, as far as there is room in the batch; whether there is room for more.
pub(super) fn gather_more(
    requests: &mut mpsc::Receiver<Request>,
    batch: &mut Vec<Request>,
) -> bool {
    let size = |request: &Request| request.job.payload.as_str().len();
    let mut bytes: usize = batch.iter().map(size).sum();
    while batch.len() < ROWS_MOST && bytes < BYTES_MOST {
        let Ok(request) = requests.try_recv() else { return true };
        bytes += size(&request);
        batch.push(request);
    }
    false
}

fn refusal(error: &Error, sent: bool) -> SubmitError {
    match error {
        _ if sent => SubmitError::Unknown(error.to_string()),
        Error::Unavailable(_) | Error::Busy { .. } => SubmitError::Unavailable(error.to_string()),
        _ => SubmitError::Refused(error.to_string()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of rows")]
fn as_f64(count: usize) -> f64 {
    count as f64
}
