//! Whether the disk of the database is full, as submissions find it: no probe writes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// How long a disk counts as full after a submission found it so, unless another one is kept
/// meanwhile.
const FULL_FOR: Duration = Duration::from_secs(5);

/// When the disk was last found full, in milliseconds since [`START`] and 1; 0: it has taken
/// something since.
#[derive(Clone, Default)]
pub struct Disk(Arc<AtomicU64>);

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Disk {
    /// A submission was refused because the disk is full.
    pub fn found_full(&self) {
        self.0.store(now(), Ordering::Relaxed);
    }

    /// A submission was kept.
    pub fn found_room(&self) {
        // Read first: all submissions share it, and a write takes it from the others.
        if self.0.load(Ordering::Relaxed) != 0 {
            self.0.store(0, Ordering::Relaxed);
        }
    }

    /// Whether the last 5 seconds saw that the disk is full, and nothing since that was kept.
    pub fn is_full(&self) -> bool {
        let found = self.0.load(Ordering::Relaxed);
        found != 0 && now().saturating_sub(found) < FULL_FOR.as_millis() as u64
    }
}

fn now() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
}
