//! How long a job may take, and what becomes of one that is forgotten.
//!
//! Sources: `app/services/ci/stuck_builds/`, `app/services/ci/timed_out_builds/`.

use weir_api::{FailureReason, JobStatus, Timestamp};

use crate::event::Outcome;
use crate::state::JobState;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// A running job's row is touched at most this often by its runner's signs of life.
pub const SIGN_OF_LIFE_SECS: i64 = 15 * MINUTE;
/// A pending job that some runner could take fails after this time without a change.
pub const PENDING_SECS: i64 = 24 * HOUR;
/// A pending job that no runner could take fails after this time in the queue.
pub const PENDING_WITHOUT_RUNNER_SECS: i64 = HOUR;
/// A running or canceling job fails after this time without a sign of life.
pub const SILENCE_SECS: i64 = 30 * MINUTE;
/// The server ends a job this long after the runner should have.
pub const GRACE_SECS: i64 = 15 * MINUTE;
/// A delayed job fails when its date is this far past.
pub const STALE_SCHEDULE_SECS: i64 = HOUR;
/// A runner that was not seen for longer does not count as one that could take a job.
pub const RUNNER_SEEN_SECS: i64 = 2 * HOUR;

/// Where an effective timeout came from, by the numbers and names of GitLab's `timeout_source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeoutSource {
    /// The project's setting.
    Project,
    /// The runner's maximum.
    Runner,
    /// The job's `timeout`.
    Job,
}

impl TimeoutSource {
    /// GitLab's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project_timeout_source",
            Self::Runner => "runner_timeout_source",
            Self::Job => "job_timeout_source",
        }
    }
}

/// The seconds that a job may run, and whose word that is: the job's own timeout, or else its project's, but
/// never more than the runner's maximum. A job's timeout may exceed its project's.
pub const fn effective(project: u64, job: Option<u64>, runner: Option<u64>) -> (u64, TimeoutSource) {
    let (wanted, source) = match job {
        Some(secs) => (secs, TimeoutSource::Job),
        None => (project, TimeoutSource::Project),
    };
    match runner {
        Some(most) if most > 0 && most < wanted => (most, TimeoutSource::Runner),
        _ => (wanted, source),
    }
}

/// How a job ends now because its time is up, if it is.
///
/// `can_run` says whether some active runner that was seen within [`RUNNER_SEEN_SECS`] may take it; it is asked
/// only for pending jobs. Send the outcome as [`crate::Event::Finished`]: a canceling job becomes canceled by it.
pub fn overdue(job: &JobState, now: Timestamp, can_run: impl FnOnce() -> bool) -> Option<Outcome> {
    use FailureReason as Reason;
    let past = |from: Option<Timestamp>, secs: i64| from.is_some_and(|from| from.plus_secs(secs) < now);
    let over = |secs: i64| {
        let timeout = job.timeout.map(|timeout| i64::try_from(timeout).unwrap_or(i64::MAX))?;
        Some(past(job.started_at, timeout.saturating_add(secs)))
    };
    let reason = match job.status {
        JobStatus::Pending if past(Some(job.updated_at), PENDING_SECS) => {
            Reason::StuckPendingWithMatchingRunners
        }
        JobStatus::Pending if past(job.queued_at, PENDING_WITHOUT_RUNNER_SECS) && !can_run() => {
            Reason::StuckPendingNoMatchingRunners
        }
        JobStatus::Running if over(GRACE_SECS) == Some(true) => Reason::ServerTimeoutRunning,
        JobStatus::Running if past(Some(job.updated_at), SILENCE_SECS) => Reason::NoUpdatesRunning,
        JobStatus::Canceling if over(GRACE_SECS) == Some(true) => Reason::ServerTimeoutCanceling,
        JobStatus::Canceling if past(Some(job.updated_at), SILENCE_SECS) => Reason::NoUpdatesCanceling,
        JobStatus::Scheduled if past(job.scheduled_at, STALE_SCHEDULE_SECS) => Reason::StaleSchedule,
        _ => return None,
    };
    Some(Outcome::Failed { reason, exit_code: None })
}
