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

/// From so many lost workers on a job is a suspect and runs alone. The statements spell the number,
/// since the index of suspects is found by it.
#[cfg(feature = "service")]
pub(crate) const SUSPECT_FROM: i32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statements_tell_suspects_by_the_same_number() {
        let texts = [
            include_str!("../../../sql/lease/claim.sql"),
            include_str!("../../../sql/lease/claim_lane.sql"),
            include_str!("../../../sql/lease/claim_suspect.sql"),
            include_str!("../../../sql/lease/rescue.sql"),
            include_str!("../../../sql/lease/suspect.sql"),
            include_str!("../../../sql/lease/sweep.sql"),
            include_str!("../../../sql/worker/heartbeat.sql"),
        ];
        for text in texts {
            let numbers: Vec<&str> = ["crashes < ", "crashes >= ", "crashes[1] >= "]
                .iter()
                .flat_map(|compared| text.split(compared).skip(1))
                .filter_map(|after| after.split(|it: char| !it.is_ascii_digit()).next())
                .collect();
            assert!(!numbers.is_empty(), "{text}");
            assert!(numbers.iter().all(|it| *it == SUSPECT_FROM.to_string()), "{numbers:?} {text}");
        }
    }
}
