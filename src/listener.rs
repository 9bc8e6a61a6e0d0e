//! The listener: a connection of its own that hears what was committed, and hands it on. It never
//! awaits work, since a listener that stops reading holds back vacuum and at last every COMMIT.
//!
//! A listener can be dead without an error, and then the poll hides it. So it notifies itself every
//! ten seconds and takes silence for death. After every (re)connect everything is looked at once,
//! for what was said meanwhile.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use metrics::{counter, gauge};
use uuid::Uuid;

use crate::events::{Ends, Events, Notice};
use crate::shutdown::Shutdown;
use crate::store::news::Listening;
use crate::store::{Error, Result, Store, Target};

/// How often it notifies itself, and how long it waits to hear it. Every round costs the server two
/// transactions.
const CANARY: Duration = Duration::from_secs(10);
const SILENCE_MOST: Duration = Duration::from_secs(5);
const RECONNECT_LEAST: Duration = Duration::from_millis(50);
const RECONNECT_MOST: Duration = Duration::from_secs(3);
/// A look at the database is followed by a rest of so many times as long as it took (a fiftieth of
/// the time), within these bounds. A drain elsewhere announces unnamed ends a hundred times a
/// second, and a stranger anything.
const LOOK_TIMES: u32 = 50;
const LOOK_LEAST: Duration = Duration::from_millis(50);
const ENDS_REST_MOST: Duration = Duration::from_secs(2);
/// A pause is to be obeyed within a second, also right after a look. So are settings of a queue.
const PAUSES_REST_MOST: Duration = Duration::from_millis(500);
/// How often settings are looked at while no notification can be heard.
const DEAF_POLL: Duration = Duration::from_secs(1);

/// Listens until the service stops.
pub(crate) async fn run(target: Target, events: Events, shutdown: Shutdown) {
    tokio::select! {
        () = shutdown.stopping.cancelled() => {}
        () = listen_on(&target, &events) => {}
    }
}

/// Connects and listens, again and again.
async fn listen_on(target: &Target, events: &Events) {
    let (mut pause, mut up) = (RECONNECT_LEAST, false);
    loop {
        // Each address and LISTEN have limits of their own: one for all would end before the second
        // host is tried.
        match Listening::connect(target).await {
            Ok(listening) => {
                tracing::info!("listening for notifications");
                gauge!("reveille_listener_up").set(1.0);
                events.listening.store(true, Ordering::Relaxed);
                (up, pause) = (true, RECONNECT_LEAST);
                events.wakes.wake(|pending| pending.everything = true);
                events.ends.some_ended();
                events.pauses.ask();
                events.gates.look_at_all();
                events.expiries.notify_one();
                events.defaults.ask();
                events.operations.tell();
                let told = |trip: Duration| {
                    gauge!("reveille_listener_round_trip_seconds").set(trip.as_secs_f64());
                };
                let reason = listen(listening, |notice| events.hear(notice), told).await;
                tracing::warn!(reason, "the listening connection is lost; the poll goes on");
            }
            Err(error) if up || pause == RECONNECT_LEAST => {
                tracing::warn!(%error, "cannot listen for notifications; the poll finds jobs until it works again");
                up = false;
            }
            Err(_) => {}
        }
        gauge!("reveille_listener_up").set(0.0);
        events.listening.store(false, Ordering::Relaxed);
        counter!("reveille_listener_reconnects_total").increment(1);
        rest(&mut pause).await;
    }
}

/// As [`run`], for a client without a service: it hears which jobs have ended, and wakes nobody.
pub(crate) async fn run_for_ends(target: Target, ends: Ends, shutdown: Shutdown) {
    let listening = async {
        let mut pause = RECONNECT_LEAST;
        loop {
            let reason = match Listening::connect(&target).await {
                Ok(listening) => {
                    pause = RECONNECT_LEAST;
                    ends.some_ended();
                    listen(listening, |notice| ends.hear(notice), |_| {}).await.to_owned()
                }
                Err(error) => error.to_string(),
            };
            tracing::debug!(reason, "a client hears of no ends until it has connected again");
            rest(&mut pause).await;
        }
    };
    shutdown.stopping.run_until_cancelled(listening).await;
}

/// Rests before the next connection, each time for about twice as long.
async fn rest(pause: &mut Duration) {
    tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>())).await;
    *pause = (*pause * 2).min(RECONNECT_MOST);
}

/// Hands on what is heard, and how long the canary took, until the connection is gone or silent.
async fn listen(
    mut listening: Listening,
    heard: impl Fn(Notice),
    round_trip: impl Fn(Duration),
) -> &'static str {
    loop {
        let canary = Notice::Canary(Uuid::new_v4());
        let sent = Instant::now();
        match tokio::time::timeout(SILENCE_MOST, listening.notify(&canary.to_string())).await {
            Ok(Ok(())) => {}
            _ => return "it does not answer",
        }
        let mut hears = false;
        let silent = tokio::time::sleep(SILENCE_MOST);
        let round_ends = tokio::time::sleep(CANARY);
        tokio::pin!(silent, round_ends);
        loop {
            tokio::select! {
                biased; // What came while this process did not run has come in time.
                payload = listening.next() => {
                    let Some(payload) = payload else { return "the connection was closed" };
                    match Notice::parse(&payload) {
                        Some(notice) if notice == canary => {
                            hears = true;
                            round_trip(sent.elapsed());
                        }
                        Some(notice) => heard(notice),
                        None => {}
                    }
                }
                () = &mut silent, if !hears => return "it did not hear itself",
                () = &mut round_ends => break,
            }
        }
    }
}

/// Finds out which of the awaited jobs have ended when that was announced without their ids. One
/// statement serves all of them, so callers who wait for other jobs ask nothing.
pub(crate) async fn look_for_ends(store: Store, events: Events, shutdown: Shutdown) {
    let looking = async {
        let mut looks = Looks::new(ENDS_REST_MOST);
        // A loop that panicked may have heard of ends and not looked.
        events.ends.some_ended();
        loop {
            looks.next(events.ends.unnamed()).await;
            let awaited = events.ends.awaited();
            if awaited.is_empty() {
                continue;
            }
            let (begun, ended) = (Instant::now(), store.job_ended(&awaited).await);
            match looks.rest(begun, ended) {
                Some(ended) => events.ends.ended(ended),
                None => events.ends.some_ended(),
            }
        }
    };
    shutdown.stopping.run_until_cancelled(looking).await;
}

/// Finds out which queues are paused when a pause was announced: the announcement itself is not
/// believed.
pub(crate) async fn look_for_pauses(store: Store, events: Events, shutdown: Shutdown) {
    let looking = async {
        let mut looks = Looks::new(PAUSES_REST_MOST);
        events.pauses.ask();
        loop {
            looks.next(events.pauses.asked()).await;
            let (begun, paused) = (Instant::now(), store.queue_paused_lately().await);
            match looks.rest(begun, paused) {
                Some(paused) => events.paused(paused, begun),
                None => events.pauses.ask(),
            }
        }
    };
    shutdown.stopping.run_until_cancelled(looking).await;
}

/// Finds out which settings of queues were changed: when that was announced, and with each poll.
pub(crate) async fn look_for_settings(
    store: Store,
    events: Events,
    poll: Duration,
    shutdown: Shutdown,
) {
    let looking = async {
        let mut looks = Looks::new(PAUSES_REST_MOST);
        loop {
            let heard = events.listening.load(Ordering::Relaxed);
            let poll = if heard { poll } else { poll.min(DEAF_POLL) };
            let told = tokio::time::timeout(poll, looks.next(events.defaults.asked())).await;
            let since = events.defaults.since().filter(|_| told.is_ok());
            let (begun, changes) = (Instant::now(), store.queue_settings(since).await);
            match looks.rest(begun, changes) {
                Some(changes) => events.looked(changes, since.is_none().then_some(begun)),
                None => events.defaults.ask(),
            }
        }
    };
    shutdown.stopping.run_until_cancelled(looking).await;
}

/// Looks at the database for what was announced, with a rest after each.
struct Looks {
    rest: Duration,
    rest_most: Duration,
}

impl Looks {
    fn new(rest_most: Duration) -> Self {
        Self { rest: Duration::ZERO, rest_most }
    }

    /// Returns when the rest is over and a look is asked for.
    async fn next(&mut self, asked: impl Future<Output = ()>) {
        tokio::time::sleep(std::mem::take(&mut self.rest)).await;
        asked.await;
    }

    /// Sets the rest after a look. `None`: it failed, and is to be asked for again.
    fn rest<T>(&mut self, begun: Instant, looked: Result<T>) -> Option<T> {
        self.rest = match looked {
            Ok(_) => (begun.elapsed() * LOOK_TIMES).clamp(LOOK_LEAST, self.rest_most),
            Err(_) => self.rest_most,
        };
        let failed = |error: &Error| tracing::debug!(%error, "could not look at what was announced; it is tried again");
        looked.inspect_err(failed).ok()
    }
}
