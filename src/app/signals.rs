//! The signals that ask the service to leave: SIGTERM, Ctrl-C, and the hangup of its terminal.

use std::fs;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// A person at the terminal, by Ctrl-C.
    ByHand,
    /// The keeper of the process, or the terminal that closed.
    ByKeeper,
}

pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// None where the process was started to outlive its terminal, as by `nohup`.
    hangup: Option<Signal>,
}

impl Signals {
    /// From now on the process does not end by them. Call it before the port is bound: a caller
    /// that sees the port may send a signal at once.
    pub(crate) fn new() -> std::io::Result<Self> {
        let hangup = SignalKind::hangup();
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: if ignored(hangup) { None } else { Some(signal(hangup)?) },
        })
    }

    /// Waits for a signal to leave.
    pub(super) async fn next(&mut self) -> Asked {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Asked::ByKeeper,
            _ = self.interrupt.recv() => Asked::ByHand,
            _ = hangup => Asked::ByKeeper,
        }
    }

    /// Waits for a signal to leave at once. A hangup is none: of one terminal that closes, both the
    /// shell and the kernel tell.
    pub(super) async fn again(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Whether the process was started with this signal ignored. Only Linux tells.
fn ignored(kind: SignalKind) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (kind.as_raw_value() - 1) & 1 == 1)
}
