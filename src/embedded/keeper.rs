//! The thread that starts PostgreSQL and waits for its end.
//!
//! The kernel's parent-death signal follows the *thread* that forked, not the process. A server
//! spawned from a blocking pool ended ten seconds later, when the pool retired its thread. So one
//! thread does nothing else, and it lives until its server has ended and nobody can ask for another
//! one.

use std::io;
use std::process::{Command, ExitStatus};
use std::sync::mpsc;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::{oneshot, watch};

/// Whether the server runs.
#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    NotYet,
    Running(Pid),
    Ended(ExitStatus),
}

/// The handle of the thread. Dropping it tells the server to shut down.
#[derive(Debug)]
pub(super) struct Keeper {
    orders: mpsc::Sender<Order>,
    state: watch::Receiver<State>,
}

struct Order {
    command: Command,
    reply: mpsc::SyncSender<io::Result<Pid>>,
}

impl Keeper {
    /// Starts the thread, which first does the slow, blocking work of `prepare` (its children, too,
    /// must not outlive us).
    pub(super) async fn start<T, E>(
        prepare: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> io::Result<Result<(T, Self), E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (orders, inbox) = mpsc::channel();
        let (report, state) = watch::channel(State::NotYet);
        let (prepared, outcome) = oneshot::channel();
        thread::Builder::new().name("postgres-keeper".into()).spawn(move || {
            let outcome = prepare();
            let usable = outcome.is_ok();
            if prepared.send(outcome).is_ok() && usable {
                keep(&inbox, &report);
            }
        })?;
        let outcome =
            outcome.await.map_err(|_| io::Error::other("the preparing thread ended early"))?;
        Ok(outcome.map(|prepared| (prepared, Self { orders, state })))
    }

    /// Starts the server. Blocks for the millisecond that a fork takes, so that no cancelled future
    /// can leave a server of which nobody knows. Only to be called while none runs.
    pub(super) fn spawn(&self, command: Command) -> io::Result<Pid> {
        let gone = || io::Error::other("the thread that keeps PostgreSQL has ended");
        let (reply, answer) = mpsc::sync_channel(1);
        self.orders.send(Order { command, reply }).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }

    pub(super) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Waits for the server's end; at once if it has ended.
    pub(super) async fn ended(&self) -> io::Result<ExitStatus> {
        let mut state = self.state.clone();
        let ended = state.wait_for(|it| matches!(it, State::Ended(_))).await;
        match ended.as_deref() {
            Ok(State::Ended(status)) => Ok(*status),
            _ => Err(io::Error::other("the thread that keeps PostgreSQL has ended")),
        }
    }

    /// Sends the server a signal; nothing happens if it has ended.
    pub(super) fn signal(&self, signal: Signal) {
        if let State::Running(pid) = self.state() {
            // An error means that it ended this moment, which its state will tell.
            let _ = kill(pid, signal);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.signal(Signal::SIGINT);
    }
}

fn keep(inbox: &mpsc::Receiver<Order>, report: &watch::Sender<State>) {
    while let Ok(Order { mut command, reply }) = inbox.recv() {
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                let _ = reply.send(Err(error));
                continue;
            }
        };
        let pid = Pid::from_raw(child.id().cast_signed());
        report.send_replace(State::Running(pid));
        let _ = reply.send(Ok(pid));
        if let Ok(status) = child.wait() {
            report.send_replace(State::Ended(status));
        }
    }
}
