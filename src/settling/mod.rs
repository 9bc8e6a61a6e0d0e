//! Settling: outcomes on their way to the database, whichever worker they come from.
//!
//! A worker hands an outcome over, and is done with it. The [`Completer`] writes many in one
//! statement. The teller tells the other instances which jobs have ended, and the reporter keeps
//! the progress of running jobs. The statement, `sql/lease/settle.sql`, is the fence:
//! it discards a stale outcome, whose lease is gone or no longer names the job.

mod completer;
mod delivery;
pub(crate) mod meter;
#[cfg(feature = "faults")]
mod mutant;
mod reporter;
mod room;
mod settler;
mod teller;

use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use completer::{Completer, WAITING_MOST};
pub(crate) use delivery::{Delivery, log_failed};
pub(crate) use room::Room;

use crate::events::Events;
use crate::job::{JobId, LeaseId};
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::store::progress::Progress;
use crate::supervise::{Inbox, Loop, Supervisor, is_spent};

/// Reports of progress on their way; beyond, they are dropped.
const REPORTS_MOST: usize = 1024;

/// A job as one claim holds it.
pub(crate) type Key = (LeaseId, JobId);

/// Called with jobs whose outcomes are settled: whoever ran them holds them no longer.
pub(crate) type LetGo = Arc<dyn Fn(&[Key]) + Send + Sync>;

/// The way to the loops that write outcomes and reports. They go on while a clone of it lives.
#[derive(Clone)]
pub(crate) struct Settling {
    pub outcomes: mpsc::Sender<Delivery>,
    pub reports: mpsc::Sender<Progress>,
    pub room: Room,
    /// Nothing will be settled any more.
    pub over: CancellationToken,
}

impl Settling {
    /// The way to its loops, and the loops. `let_go` is told of jobs whose outcomes are settled.
    pub(crate) fn new(
        store: &Store,
        events: &Events,
        let_go: LetGo,
        supervisor: &Supervisor,
        shutdown: &Shutdown,
    ) -> (Self, Vec<Loop>) {
        let (outcomes, deliveries) = mpsc::channel(WAITING_MOST);
        let (reports, progress) = mpsc::channel(REPORTS_MOST);
        let (tell, told) = mpsc::unbounded_channel();
        let (room, over) = (Room::new(), CancellationToken::new());
        let completer = Completer::new(store.clone(), let_go, events.clone(), deliveries, tell);
        let completing = complete(Arc::new(Mutex::new(completer)), supervisor);
        // Else it would go on in the program of somebody who has shut the service down, for as long
        // as the database is away.
        let (abandoned, ended) = (shutdown.abandoned.clone(), over.clone().drop_guard());
        let completing = async move {
            abandoned.run_until_cancelled(completing).await;
            drop(ended);
        };
        let (told, telling): (Inbox<_>, _) = (Arc::new(Mutex::new(told)), store.clone());
        let hearing = told.clone();
        let telling = supervisor.clone().keep(
            "teller",
            move || is_spent(&hearing),
            move || teller::tell_others(telling.clone(), told.clone()),
        );
        let (progress, reporting): (Inbox<_>, _) = (Arc::new(Mutex::new(progress)), store.clone());
        let reported = progress.clone();
        let reporting = supervisor.clone().keep(
            "reporter",
            move || is_spent(&reported),
            move || reporter::report(reporting.clone(), progress.clone()),
        );
        let loops = vec![completing.boxed(), telling.boxed(), reporting.boxed()];
        (Self { outcomes, reports, room, over }, loops)
    }
}

fn complete(completer: Inbox<Completer>, supervisor: &Supervisor) -> Loop {
    let settling = completer.clone();
    let kept = supervisor.clone().keep(
        "completer",
        move || Completer::is_over(&settling),
        move || Completer::run(completer.clone()),
    );
    kept.boxed()
}
