//! Leases: what a claim took out of `ready`, until it is settled or rescued.

mod claim;
mod rescue;
mod settle;
#[cfg(feature = "faults")]
mod unfenced;

pub use claim::{CLAIM_MOST, Claim, ClaimRoom, Claimed, LaneClaim, Unreadable};
pub use rescue::Rescued;
pub use settle::{Settled, Settlement};
