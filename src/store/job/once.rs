//! Submissions that may be repeated: each is written with its first answer, in one transaction, and
//! answered as it was then when it comes again.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::types::ToSql;

use super::submit::{Kept, Keyed, written};
use crate::job::JobId;
use crate::job::idempotency::Repeatable;
use crate::job::submission::Submission;
use crate::store::row::Row;
use crate::store::session::{Sql, sql};
use crate::store::{Error, Result, Store};

/// The answer to a request that may be repeated.
#[derive(Debug)]
pub(crate) enum Once {
    /// To each of its jobs, or who holds the unique key of one that wanted to be refused.
    Answered {
        jobs: Vec<Kept>,
        /// As it was answered before.
        replayed: bool,
    },
    /// The key belongs to other content.
    Reused,
    /// Another transaction has the key.
    Busy,
    /// The key is new, and its principal may have no more.
    Full,
}

/// Requests for one statement.
pub(crate) struct Round<'a> {
    /// Each with whether it may be kept if it is new, and with how many of the jobs.
    pub requests: Vec<(&'a Repeatable, bool, usize)>,
    /// The jobs of the first request, then those of the second, and so on.
    pub jobs: &'a [(JobId, Submission)],
    /// How long answers are kept.
    pub keep: Duration,
}

const SUBMIT_ONCE: &Sql = sql!("job/submit_once": TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, BYTEA_ARRAY, INT4_ARRAY, INT4_ARRAY, BOOL_ARRAY, FLOAT8,
    UUID_ARRAY, TEXT_ARRAY, TEXT_ARRAY, INT2_ARRAY, TIMESTAMPTZ_ARRAY, FLOAT8_ARRAY, JSONB_ARRAY, INT4_ARRAY, FLOAT8_ARRAY,
    JSONB_ARRAY, JSONB_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT, TEXT);

impl Store {
    /// Writes the requests of a round, or finds their answers. A request of several jobs is written
    /// whole or not at all. Waits `key_wait` for a key that another transaction holds.
    pub(crate) async fn job_submit_once(
        &self,
        round: &Round<'_>,
        announce: bool,
        key_wait: Duration,
        deadline: Instant,
    ) -> Result<Vec<Once>> {
        let each = || round.requests.iter();
        let of = |text: fn(&'_ Repeatable) -> &'_ str| -> Vec<&str> {
            each().map(|(request, ..)| text(request)).collect()
        };
        let principals = of(|request| &request.principal);
        let (paths, keys) = (of(|request| request.path), of(|request| &request.key));
        let prints: Vec<&[u8]> = each().map(|it| it.0.fingerprint.as_slice()).collect();
        let admitted: Vec<bool> = each().map(|it| it.1).collect();
        let (mut firsts, mut lasts, mut place) = (Vec::new(), Vec::new(), 0);
        for (.., jobs) in each() {
            firsts.push(place + 1);
            place += i32::try_from(*jobs).unwrap_or(i32::MAX - place);
            lasts.push(place);
        }
        let keep = round.keep.as_secs_f64();
        let before: [&(dyn ToSql + Sync); 8] =
            [&principals, &paths, &keys, &prints, &firsts, &lasts, &admitted, &keep];
        let keyed = Keyed::new(round.jobs, announce, key_wait);
        let parameters = [&before[..], &keyed.parameters()].concat();
        let read = |rows: &[Row]| answers(rows, round.requests.len());
        if round.requests.iter().all(|(.., jobs)| *jobs == 1) {
            let rows = self.submissions.query_by(deadline, SUBMIT_ONCE, &parameters).await?;
            return read(&rows);
        }
        let whole = |all: &Vec<Once>| all.iter().all(Once::is_whole);
        self.submit_if(SUBMIT_ONCE, &parameters, read, whole, deadline).await
    }
}

impl Once {
    fn is_whole(&self) -> bool {
        match self {
            Self::Answered { jobs, .. } => jobs.iter().all(std::result::Result::is_ok),
            Self::Reused | Self::Busy | Self::Full => true,
        }
    }
}

/// The answers to so many requests, in their order.
fn answers(rows: &[Row], requests: usize) -> Result<Vec<Once>> {
    let mut jobs: Vec<Vec<(i64, Kept, bool)>> = vec![Vec::new(); requests];
    let mut refused: Vec<Option<Once>> = (0..requests).map(|_| None).collect();
    for row in rows {
        let place = usize::try_from(row.try_get::<_, i32>(0)? - 1).unwrap_or(usize::MAX);
        let (Some(jobs), Some(refused)) = (jobs.get_mut(place), refused.get_mut(place)) else {
            return Err(Error::Unexpected(format!("an answer to request {place}")));
        };
        match row.try_get(4)? {
            "reused" => *refused = Some(Once::Reused),
            "busy" => *refused = Some(Once::Busy),
            "full" => *refused = Some(Once::Full),
            _ => jobs.push((row.try_get(1)?, written(row, 2)?, row.try_get(5)?)),
        }
    }
    let answer = |(mut jobs, refused): (Vec<(i64, Kept, bool)>, Option<Once>)| {
        jobs.sort_by_key(|(nth, ..)| *nth);
        let replayed = jobs.iter().any(|(.., replayed)| *replayed);
        let jobs = jobs.into_iter().map(|(_, kept, _)| kept).collect();
        refused.unwrap_or(Once::Answered { jobs, replayed })
    };
    Ok(jobs.into_iter().zip(refused).map(answer).collect())
}
