//! Metrics are recorded by one recorder for the whole process. The first service installs it, those after it share it; where
//! the program has installed its own, the figures go there, and `/metrics` says so.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::shutdown::Shutdown;

const ELSEWHERE: &str = "# This program records its metrics by a recorder of its own.\n";

fn recorder() -> Option<PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    RECORDER.get_or_init(|| PrometheusBuilder::new().install_recorder().ok()).clone()
}

/// Writes all metrics in the format of Prometheus.
pub(super) fn writer() -> Arc<dyn Fn() -> String + Send + Sync> {
    match recorder() {
        Some(recorder) => Arc::new(move || recorder.render()),
        None => Arc::new(|| ELSEWHERE.into()),
    }
}

/// Histograms are summarised when they are read, or by this.
pub(super) async fn keep(shutdown: Shutdown) {
    let Some(recorder) = recorder() else { return };
    let mut every = tokio::time::interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            _ = every.tick() => recorder.run_upkeep(),
            () = shutdown.stopping.cancelled() => return,
        }
    }
}
