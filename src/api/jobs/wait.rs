//! Waiting for the end of a job.

use std::time::{Duration, Instant};

use super::super::Services;
use super::super::problem::Problem;
use super::view::{Job, JobStatus};
use crate::job::JobId;

/// The longest that a call may wait for the end of a job.
const WAIT_MOST_SECONDS: u32 = 60;

/// How long a caller is willing to wait.
#[derive(Debug)]
pub struct Patience {
    pub wait: Option<Duration>,
    /// What `Preference-Applied` says.
    pub applied: Option<String>,
}

impl Patience {
    /// From the query parameter, or without it from `Prefer: wait=N` (RFC 7240).
    pub fn of(query: Option<u32>, prefer: Option<&str>) -> Result<Self, Problem> {
        let preferred = prefer.and_then(preferred_wait).transpose()?;
        let seconds = query.or(preferred);
        if seconds.is_some_and(|seconds| seconds > WAIT_MOST_SECONDS) {
            return Err(invalid_wait());
        }
        let applied = preferred.and(seconds).map(|seconds| format!("wait={seconds}"));
        Ok(Self { wait: seconds.map(|seconds| Duration::from_secs(seconds.into())), applied })
    }
}

/// The `wait` among preferences; `None` if it is not there.
fn preferred_wait(prefer: &str) -> Option<Result<u32, Problem>> {
    prefer.split(',').find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("wait").then(|| value.parse().map_err(|_| invalid_wait()))
    })
}

fn invalid_wait() -> Problem {
    let detail = "wait is a whole number of seconds from 0 to 60. Ask again after that.";
    Problem::bad_request("invalid_wait", detail)
}

impl Services {
    /// The job as soon as it has ended, or as it stands after `wait`, or when the service leaves. Pushed, not polled.
    pub(super) async fn wait_for(&self, id: JobId, wait: Duration) -> Result<Option<Job>, Problem> {
        let until = Instant::now() + wait;
        let mut waiting = self.events.ends.watch(id);
        loop {
            let Some(row) = self.store.job_get(id).await? else { return Ok(None) };
            let left = until.saturating_duration_since(Instant::now());
            if row.status.is_final() || left.is_zero() || self.shutdown.draining.is_cancelled() {
                let mut job = Job::from(row);
                if matches!(job.status, JobStatus::Queued | JobStatus::Scheduled) {
                    job.warnings = self.hints.of(&job.queue, &job.task).await;
                }
                return Ok(Some(job));
            }
            tokio::select! {
                () = waiting.changed() => {}
                () = tokio::time::sleep(left) => {}
                () = self.shutdown.draining.cancelled() => {}
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn patience_comes_from_the_query_or_the_preference() {
        let of = |query, prefer| Patience::of(query, prefer).map(|it| (it.wait, it.applied)).ok();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(of(None, None), Some((None, None)));
        assert_eq!(of(Some(5), None), Some((seconds(5), None)));
        let applied = Some("wait=7".to_owned());
        for prefer in ["wait=7", "respond-async, Wait = \"7\"; x=1"] {
            assert_eq!(of(None, Some(prefer)), Some((seconds(7), applied.clone())), "{prefer}");
        }
        assert_eq!(of(Some(5), Some("wait=7")), Some((seconds(5), Some("wait=5".into()))));
        assert_eq!(of(None, Some("return=minimal")), Some((None, None)));
        for (query, prefer) in [(Some(61), None), (None, Some("wait=61")), (None, Some("wait=a"))] {
            assert_eq!(Patience::of(query, prefer).unwrap_err().code(), "invalid_wait");
        }
    }
}
