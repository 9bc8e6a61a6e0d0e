//! Waiting for the end of a job.

use std::time::Duration;

use super::super::Services;
use super::super::params::{PreferText, WaitText};
use super::super::problem::Problem;
use super::view::{Job, JobWait};
use crate::explain::Wait;
use crate::job::JobId;

/// How long a caller is willing to wait.
#[derive(Debug)]
pub(super) struct Patience {
    pub wait: Option<Duration>,
    /// The value of `Preference-Applied`.
    pub applied: Option<String>,
}

impl Patience {
    /// From the query parameter, or without it from `Prefer: wait=N`.
    pub(super) fn of(
        query: Option<&WaitText>,
        prefer: Option<&PreferText>,
    ) -> Result<Self, Problem> {
        let preferred = prefer.and_then(PreferText::wait_seconds);
        let seconds = query.map(WaitText::seconds).transpose()?.or(preferred);
        let applied = preferred.and(seconds).map(|seconds| format!("wait={seconds}"));
        Ok(Self { wait: seconds.map(|seconds| Duration::from_secs(seconds.into())), applied })
    }
}

impl Services {
    /// The job as soon as it has ended, or as it stands after `wait`, or when the service leaves.
    /// Pushed, not polled.
    pub(super) async fn wait_for(&self, id: JobId, wait: Duration) -> Result<Option<Job>, Problem> {
        let row = self.jobs.wait(id, wait, &self.shutdown.draining).await?;
        let Some(row) = row else { return Ok(None) };
        let waits = self.hints.waiting_for(&row).await;
        let mut job = Job::from(row);
        job.warnings = waits.iter().filter_map(Wait::warning).collect();
        job.waiting_for = Some(waits.into_iter().map(JobWait::from).collect());
        Ok(Some(job))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use poem_openapi::types::ParseFromParameter;

    use super::*;

    #[test]
    fn patience_comes_from_the_query_or_the_preference() {
        let of = |query: Option<u32>, prefer: Option<&[&str]>| {
            let query = query.map(|seconds| seconds.to_string());
            let query =
                query.map(|it| WaitText::parse_from_parameter(&it).map_err(|_| ()).unwrap());
            let prefer = prefer
                .map(|lines| PreferText::parse_from_parameters(lines).map_err(|_| ()).unwrap());
            Patience::of(query.as_ref(), prefer.as_ref()).map(|it| (it.wait, it.applied))
        };
        let known = |query, prefer| of(query, prefer).unwrap();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(known(None, None), (None, None));
        assert_eq!(known(Some(5), None), (seconds(5), None));
        let applied = Some("wait=7".to_owned());
        let spelt: [&[&str]; 4] = [
            &["wait=7"],
            &["respond-async, Wait = \"7\"; x=1"],
            &["respond-async", "wait=7"],
            &["wait=7", "wait=a"],
        ];
        for lines in spelt {
            assert_eq!(known(None, Some(lines)), (seconds(7), applied.clone()), "{lines:?}");
        }
        assert_eq!(known(Some(5), Some(&["wait=7"])), (seconds(5), Some("wait=5".into())));
        let ignored: [&[&str]; 6] = [
            &["return=minimal"],
            &["wait"],
            &["wait=61"],
            &["wait=a"],
            &["wait=-1"],
            &["wait=a", "wait=7"],
        ];
        for lines in ignored {
            assert_eq!(known(None, Some(lines)), (None, None), "{lines:?}");
            assert_eq!(known(Some(5), Some(lines)), (seconds(5), None), "{lines:?}");
        }
        assert_eq!(of(Some(61), None).unwrap_err().code(), "invalid_wait");
    }
}
