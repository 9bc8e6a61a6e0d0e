//! Metrics are recorded by one recorder for the whole process. The first service installs it, those
//! after it share it; where the program has installed its own, the figures go there, and `/metrics`
//! says so.
//!
//! Events are counted where they happen. States (slots, connections, waiting jobs) are read when
//! somebody asks. So an instance that is not asked makes no query for them.

mod letters;
mod queues;
mod table;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use metrics::{counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::engine::Load;
use crate::shutdown::Shutdown;
use crate::store::Store;
use letters::DeadLetters;
use queues::Queues;

const ELSEWHERE: &str = "# This program records its metrics by a recorder of its own.\n";
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Installs the recorder; what is counted before goes nowhere.
pub(super) fn install() {
    recorder();
}

fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let install = || {
        let recorder = table::with_buckets(PrometheusBuilder::new())
            .and_then(PrometheusBuilder::install_recorder)
            .ok();
        table::describe();
        recorder
    };
    RECORDER.get_or_init(install).as_ref()
}

/// Reads what there is: slots, connections, waiting jobs.
#[derive(Clone)]
pub(super) struct MetricsReader {
    store: Store,
    load: Load,
    queues: Arc<Queues>,
    letters: Arc<DeadLetters>,
}

impl MetricsReader {
    pub(super) fn new(store: Store, load: Load) -> Self {
        let queues = Arc::new(Queues::new(store.clone()));
        let letters = Arc::new(DeadLetters::new(store.clone()));
        Self { queues, letters, store, load }
    }

    /// Writes all metrics in the format of Prometheus.
    pub(super) fn writer(&self) -> Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync> {
        let reader = self.clone();
        Arc::new(move || {
            let reader = reader.clone();
            async move {
                let Some(recorder) = recorder() else { return ELSEWHERE.into() };
                reader.read();
                reader.queues.read().await;
                reader.letters.read().await;
                recorder.render()
            }
            .boxed()
        })
    }

    /// Histograms are summarised when they are read, or by this; and a recorder of the program's
    /// own is asked by nobody.
    pub(super) async fn keep(self, shutdown: Shutdown) {
        let mut every = tokio::time::interval(UPKEEP_EVERY);
        loop {
            tokio::select! {
                _ = every.tick() => match recorder() {
                    Some(recorder) => recorder.run_upkeep(),
                    None => self.read(),
                },
                () = shutdown.stopping.cancelled() => return,
            }
        }
    }

    fn read(&self) {
        gauge!("reveille_slots_running").set(count(self.load.running()));
        gauge!("reveille_slots_free").set(count(self.load.free()));
        gauge!("reveille_clock_ahead_seconds").set(self.store.clock.ahead_seconds());
        for pool in self.store.pools() {
            let name = pool.name;
            gauge!("reveille_pool_connections", "pool" => name).set(pool.connections);
            gauge!("reveille_pool_idle_connections", "pool" => name).set(pool.idle);
            counter!("reveille_pool_waits_total", "pool" => name).absolute(pool.waits);
            counter!("reveille_pool_timeouts_total", "pool" => name).absolute(pool.timeouts);
            counter!("reveille_pool_wait_seconds_total", "pool" => name)
                .absolute(pool.waited.as_secs());
        }
    }
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
