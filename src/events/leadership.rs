//! Who leads the maintenance services.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

/// Whether this instance leads the maintenance services, as its heartbeat finds out, and whether
/// somebody is to be rescued.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leadership {
    leads: Arc<watch::Sender<bool>>,
    rescue: Arc<Notify>,
}

impl Leadership {
    /// Returns when this instance leads.
    pub(crate) async fn led(&self) {
        // The sender is here, so this is no error.
        let _ = self.leads.subscribe().wait_for(|leads| *leads).await;
    }

    /// Answers whether that is new.
    pub(crate) fn set_leads(&self, leads: bool) -> bool {
        self.leads.send_replace(leads) != leads
    }

    /// Returns when somebody is to be rescued; a call before counts.
    pub(crate) async fn rescue(&self) {
        self.rescue.notified().await;
    }

    /// A lost worker is to be rescued.
    pub(crate) fn call_to_rescue(&self) {
        self.rescue.notify_one();
    }
}
