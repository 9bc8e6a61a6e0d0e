//! The refusals of operations on one job, which the specification shows too.

use super::super::problem::Problem;
use crate::job::JobId;
use crate::job::state::Status;

/// 409: a job that has ended cannot be cancelled.
pub(crate) fn already_final(id: JobId, status: Status) -> Problem {
    let detail =
        format!("The job has ended: it is {}. There is nothing left to cancel.", status.as_str());
    Problem::conflict("job_already_final", detail).job(id.0)
}

/// 409: a job that has not ended cannot be run once more.
pub(crate) fn not_final(id: JobId) -> Problem {
    let detail = "The job has not ended, so there is nothing to run once more. Cancel it first, \
                  or wait.";
    Problem::conflict("job_not_final", detail).job(id.0)
}

/// 409: a job that a worker holds cannot be deleted.
pub(crate) fn processing(id: JobId) -> Problem {
    let detail = "A worker holds the job. Cancel it, wait for its end, and delete it then.";
    Problem::conflict("job_processing", detail).job(id.0)
}

/// 409: a job cannot be run once more while another holds its unique key.
pub(crate) fn key_held(holder: JobId) -> Problem {
    let detail = "Another job holds this job's unique_key: it has not ended, or completed within \
                  its unique_for_seconds. Wait, or cancel or delete that job first.";
    Problem::conflict("unique_key_conflict", detail).job(holder.0)
}
