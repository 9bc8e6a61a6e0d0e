//! What a claim says of a lane. There are three answers, and each lane that was read gets one: with
//! any other a limit would leave a lane that nobody asks any more, or one that is asked again and
//! again.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::queue::Hold;
use crate::store::lease::{Claim, LaneClaim};

/// The answer for one lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// It has more jobs, or may have: the claim stopped before its end. It is asked again at once.
    More,
    /// It was read to its end. It is asked again when its next job is due, or when a wake says so.
    Empty { due: Option<DateTime<Utc>> },
    /// It may have jobs, and gives none. It is asked again when the hold ends.
    Held(Hold),
}

/// What was claimed of one lane, and the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LaneAnswer {
    /// The place of the lane in the claim.
    pub(super) nth: usize,
    /// How many jobs it gave, and where the last of them stood.
    pub(super) got: usize,
    pub(super) last: Option<(DateTime<Utc>, Uuid)>,
    pub(super) answer: Answer,
}

/// The answers of a claim of at most `limit` jobs. Lanes that it did not come to have none, and
/// stay as they are.
pub(super) fn answers(asked: &[LaneClaim], claim: &Claim, limit: usize) -> Vec<LaneAnswer> {
    let mut all: Vec<LaneAnswer> = (0..asked.len())
        .map(|nth| LaneAnswer { nth, got: 0, last: None, answer: Answer::Empty { due: None } })
        .collect();
    for (nth, job) in &claim.jobs {
        all[*nth].got += 1;
        all[*nth].last = Some((job.run_at, job.id.0));
    }
    for (nth, _) in &claim.unreadable {
        all[*nth].got += 1;
    }
    for (nth, at) in &claim.due {
        all[*nth].answer = Answer::Empty { due: Some(*at) };
    }
    // A full claim stopped reading in its last lane; it did not come to those behind it.
    let full = claim.jobs.len() + claim.unreadable.len() >= limit;
    let stopped_in = all.iter().rposition(|lane| lane.got > 0).filter(|_| full);
    for (lane, asked) in all.iter_mut().zip(asked) {
        if lane.got >= asked.most || stopped_in == Some(lane.nth) {
            lane.answer = Answer::More;
        }
    }
    for (nth, hold) in &claim.held {
        all[*nth].answer = Answer::Held(*hold);
    }
    let read = |lane: &LaneAnswer| {
        matches!(lane.answer, Answer::Held(_)) || stopped_in.is_none_or(|last| lane.nth <= last)
    };
    all.retain(read);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claiming::tests::{claimed, lane, time};
    use crate::queue::Holder;

    fn asked(mosts: &[usize]) -> Vec<LaneClaim> {
        let claim =
            |(nth, most): (usize, &usize)| LaneClaim { lane: lane(nth), bound: None, most: *most };
        mosts.iter().enumerate().map(claim).collect()
    }

    /// So many jobs of each lane.
    fn claim(got: &[usize]) -> Claim {
        let jobs = got.iter().enumerate().flat_map(|(nth, got)| {
            (0..*got).map(move |second| (nth, claimed(&lane(nth), second as i64)))
        });
        Claim { jobs: jobs.collect(), ..Claim::default() }
    }

    fn of(asked: &[LaneClaim], claim: &Claim, limit: usize) -> Vec<(usize, usize, Answer)> {
        let parts = |it: LaneAnswer| (it.nth, it.got, it.answer);
        answers(asked, claim, limit).into_iter().map(parts).collect()
    }

    #[test]
    fn a_lane_that_gave_all_it_was_asked_for_has_more_and_one_that_gave_less_is_empty() {
        let claim = Claim { due: vec![(1, time(9))], ..claim(&[2, 1]) };
        let empty = Answer::Empty { due: Some(time(9)) };
        assert_eq!(of(&asked(&[2, 2]), &claim, 9), [(0, 2, Answer::More), (1, 1, empty)]);
    }

    #[test]
    fn a_full_claim_answers_for_the_lanes_that_it_came_to() {
        let answered = of(&asked(&[3, 3, 3]), &claim(&[1, 2, 0]), 3);
        assert_eq!(answered, [(0, 1, Answer::Empty { due: None }), (1, 2, Answer::More)]);
    }

    #[test]
    fn a_held_lane_is_held_wherever_the_claim_stopped() {
        let hold = Hold { by: Holder::Pause, until: None };
        let held = |limit| {
            let claim = Claim { held: vec![(0, hold), (2, hold)], ..claim(&[0, 1, 0]) };
            of(&asked(&[3, 3, 3]), &claim, limit)
        };
        let expected =
            |middle| [(0, 0, Answer::Held(hold)), (1, 1, middle), (2, 0, Answer::Held(hold))];
        assert_eq!(held(1), expected(Answer::More));
        assert_eq!(held(9), expected(Answer::Empty { due: None }));
    }

    #[test]
    fn an_unreadable_job_counts_as_given() {
        let unreadable = crate::store::lease::Unreadable {
            lease: crate::job::LeaseId(Uuid::nil()),
            id: crate::job::JobId(Uuid::nil()),
            place: 1,
            attempt: None,
            why: String::new(),
        };
        let claim = Claim { unreadable: vec![(0, unreadable)], ..Claim::default() };
        assert_eq!(of(&asked(&[1]), &claim, 9), [(0, 1, Answer::More)]);
    }
}
