//! Everything that can happen to a pipeline.

use weir_api::{FailureReason, JobStatus};
use weir_compiler::plan::Strategy;

use crate::rerun::Scope;
use crate::state::JobIndex;

/// What happened, or what someone asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The pipeline was stored: decide its first jobs.
    Created,
    /// A runner takes a pending job.
    Picked {
        /// The job.
        job: JobIndex,
        /// Effective timeout in seconds.
        timeout: u64,
        /// The runner runs `after_script` on cancel.
        cancel_gracefully: bool,
    },
    /// The runner, or a background task on its behalf, says how a job ended.
    Finished {
        /// The job.
        job: JobIndex,
        /// How.
        outcome: Outcome,
    },
    /// The runner says that it still runs the job.
    Alive {
        /// The job.
        job: JobIndex,
    },
    /// Cancel one job.
    Cancel {
        /// The job.
        job: JobIndex,
        /// `canceling` becomes `canceled` without waiting for the runner.
        force: bool,
    },
    /// Cancel everything that can be canceled.
    CancelPipeline {
        /// Child pipelines, too. A newer pipeline leaves them alone: they are candidates on their own.
        cascade: bool,
    },
    /// Cancel every job that can be and is `interruptible`.
    CancelInterruptible,
    /// Fail every job that could be canceled: its user was blocked, its project is deleted.
    DropPipeline {
        /// Why.
        reason: FailureReason,
    },
    /// Retry one job: a new row.
    Retry {
        /// The job.
        job: JobIndex,
    },
    /// Retry every failed or canceled job.
    RetryPipeline,
    /// Run the pipeline again, or a part of it.
    Rerun {
        /// What of it.
        scope: Scope,
    },
    /// Start a manual or delayed job now.
    Play {
        /// The job.
        job: JobIndex,
    },
    /// A delayed job becomes manual.
    Unschedule {
        /// The job.
        job: JobIndex,
    },
    /// The delay of a scheduled job has passed.
    Due {
        /// The job.
        job: JobIndex,
    },
    /// Artifacts and trace of a finished job go.
    Erase {
        /// The job.
        job: JobIndex,
    },
    /// The job got the resource of its group.
    ResourceGranted {
        /// The job.
        job: JobIndex,
    },
    /// The downstream pipeline of a pending bridge was created.
    DownstreamCreated {
        /// The bridge.
        job: JobIndex,
        /// `trigger:strategy`; without one the bridge is done.
        strategy: Option<Strategy>,
    },
    /// The downstream pipeline of a bridge with a strategy has a new status.
    DownstreamStatus {
        /// The bridge.
        job: JobIndex,
        /// The downstream pipeline's status.
        status: JobStatus,
        /// `trigger:strategy`.
        strategy: Strategy,
    },
    /// Something in the downstream pipeline of a bridge with a strategy was retried or played.
    DownstreamRestarted {
        /// The bridge.
        job: JobIndex,
    },
    /// The raw `enqueue` transition, without the side effects of play. For the conformance cases.
    Enqueue {
        /// The job.
        job: JobIndex,
    },
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Success,
    /// Badly.
    Failed {
        /// Why.
        reason: FailureReason,
        /// With which code, if the script's end was the reason.
        exit_code: Option<i32>,
    },
}

/// Why an event cannot be applied. The state is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such job in this pipeline.
    #[error("no such job in this pipeline")]
    NoSuchJob,
    /// The status does not allow it.
    #[error("a job that is {0} does not allow this")]
    Status(JobStatus),
    /// The job cannot be retried: it is not the newest attempt, or it has not ended.
    #[error("job is not retryable")]
    NotRetryable,
    /// A job that would be repeated has not ended.
    #[error("a job that would run again has not ended")]
    StillActive,
    /// The job cannot be played: it is not manual or delayed, or it runs already.
    #[error("unplayable job")]
    NotPlayable,
    /// The job cannot be erased: it has not ended, or it is erased already.
    #[error("job is not erasable")]
    NotErasable,
    /// The status that another system reports does not follow on the one that its job has.
    #[error(
        "Cannot transition status via :{event} from :{from} (Reason(s): Status cannot transition via \"{event}\")"
    )]
    Reported {
        /// GitLab's name of the change.
        event: &'static str,
        /// The status that the job has.
        from: JobStatus,
    },
    /// The delay has not passed yet.
    #[error("the job's delay has not passed")]
    NotDue,
}
