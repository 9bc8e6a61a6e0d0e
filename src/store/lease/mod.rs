//! Leases: what a claim took out of `ready`, until it is settled or rescued.

mod claim;
mod rescue;
mod settle;
mod sweep;
#[cfg(feature = "faults")]
mod unfenced;

pub(crate) use claim::{CLAIM_MOST, Unreadable};
pub use claim::{Claim, ClaimRoom, Claimed, LaneClaim};
pub use settle::{Settled, Settlement, Settles};
pub use sweep::Swept;
