//! What an applied event asks of the outside.

use weir_api::environments::EnvironmentAction;
use weir_api::{JobStatus, Timestamp};

use crate::state::JobIndex;

/// The result of [`crate::apply`]: what to write and what to do, all in one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Rows that changed or are new, each once, in ascending order. An index at or beyond the former length of
    /// [`crate::PipelineState::jobs`] is a new row.
    pub jobs: Vec<JobIndex>,
    /// Indices of stages whose status changed.
    pub stages: Vec<u32>,
    /// Whether the pipeline's own fields changed.
    pub pipeline: bool,
    /// In the order in which they happened.
    pub effects: Vec<Effect>,
}

/// One thing to do outside the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Put the job into the queue and wake runners.
    Enqueue(JobIndex),
    /// Take it out of the queue.
    Dequeue(JobIndex),
    /// Wake up at this time and send [`crate::Event::Due`].
    Schedule(JobIndex, Timestamp),
    /// Start the bridge's downstream pipeline, unless it has one: a bridge can be reset after it was skipped.
    TriggerDownstream(JobIndex),
    /// The job waits for the resource of its group: [`crate::Event::ResourceGranted`] lets it go on.
    RequestResource(JobIndex),
    /// The job has come to its end, or waits for a person: any resource that it held is free, and so is its turn.
    ReleaseResource(JobIndex),
    /// Cancel the child pipelines of this one, and theirs; downstream pipelines of other projects go on.
    CancelChildren,
    /// Something here was retried or played: the bridge that waits for this pipeline waits again
    /// ([`crate::Event::DownstreamRestarted`]).
    RestartUpstream,
    /// Delete artifacts and trace.
    EraseData(JobIndex),
    /// What a job that names an environment has come to: its deployment follows it, its success changes the
    /// environment.
    Environment {
        /// The job.
        job: JobIndex,
        /// What it does there.
        action: EnvironmentAction,
        /// Its status; `created` for a new attempt.
        status: JobStatus,
    },
    /// For hooks, the web and metrics: a job's status changed.
    JobStatus {
        /// The job.
        job: JobIndex,
        /// Before.
        from: JobStatus,
        /// After.
        to: JobStatus,
    },
    /// For hooks, the web and metrics: the pipeline's status changed.
    PipelineStatus {
        /// Before.
        from: JobStatus,
        /// After.
        to: JobStatus,
    },
}
