//! The state of one pipeline, as far as decisions need it.
//!
//! What a job runs (its [`weir_compiler::plan::Job`]) is stored once and never changes; the state keeps only
//! what decides when.

use serde::{Deserialize, Serialize};
use weir_api::environments::EnvironmentAction;
use weir_api::{FailureReason, JobStatus, Timestamp};
use weir_compiler::plan::{Retry, When};

use crate::jobs::Jobs;

/// A job's place in [`PipelineState::jobs`]. It never changes: jobs are appended, never removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobIndex(pub u32);

/// One pipeline with its stages and jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineState {
    /// The composite status, as last written (section 4 of the processing rules).
    pub status: JobStatus,
    /// In order of position.
    pub stages: Vec<StageState>,
    /// Every job row, retried ones included, in order of creation.
    pub jobs: Jobs,
    /// `workflow:auto_cancel:on_job_failure: all`.
    pub cancel_on_job_failure: bool,
    /// First move to running.
    pub started_at: Option<Timestamp>,
    /// Last move to success, failed or canceled.
    pub finished_at: Option<Timestamp>,
    /// Busy seconds of its jobs: the union of their running intervals.
    pub duration: Option<f64>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageState {
    /// Its name.
    pub name: String,
    /// Its composite status, as last written.
    pub status: JobStatus,
}

/// What a row of a pipeline is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobKind {
    /// A job that a runner runs.
    Build,
    /// A job that starts another pipeline.
    Bridge,
    /// A job that another system runs, which reports its status ([`crate::external`]).
    External,
}

/// One job or bridge row.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and a column of its own")]
pub struct JobState {
    /// Full name; rows of one name are attempts of one job.
    pub name: String,
    /// Index into [`PipelineState::stages`].
    pub stage: u32,
    /// What it does when its turn comes.
    pub kind: JobKind,
    /// Its status.
    pub status: JobStatus,
    /// Whether a newer attempt exists; only rows with `false` count.
    pub retried: bool,
    /// The attempt that this row repeats.
    pub retry_of: Option<JobIndex>,
    /// `when`.
    pub when: When,
    /// `start_in` in seconds.
    pub start_in: Option<u64>,
    /// Whether failure is a warning; an exit code of the list turns it on.
    pub allow_failure: bool,
    /// `allow_failure:exit_codes`.
    pub allow_failure_exit_codes: Vec<i32>,
    /// `None`: waits for its stage. `Some`: the names that it needs.
    pub needs: Option<Vec<String>>,
    /// `retry`.
    pub retry: Option<Retry>,
    /// `interruptible`.
    pub interruptible: bool,
    /// Whether it has a resource group.
    pub resource_group: Option<String>,
    /// What it does with its environment, if it names one.
    pub environment: Option<EnvironmentAction>,
    /// Left by a retry of a manual or delayed job: run at once when its turn comes.
    pub enqueue_immediately: bool,
    /// Its runner lets `after_script` run on cancel.
    pub cancel_gracefully: bool,
    /// Why it failed.
    pub failure_reason: Option<FailureReason>,
    /// The exit code that the runner sent, 0..=32767.
    pub exit_code: Option<i32>,
    /// Effective timeout in seconds, fixed when it starts.
    pub timeout: Option<u64>,
    /// When a delayed job becomes due.
    pub scheduled_at: Option<Timestamp>,
    /// Row creation.
    pub created_at: Timestamp,
    /// Last move to pending.
    pub queued_at: Option<Timestamp>,
    /// Move to running.
    pub started_at: Option<Timestamp>,
    /// Move to success, failed or canceled.
    pub finished_at: Option<Timestamp>,
    /// Last status change, or sign of life from the runner.
    pub updated_at: Timestamp,
    /// When artifacts and trace were erased.
    pub erased_at: Option<Timestamp>,
}

impl JobState {
    /// Whether it starts another pipeline instead of running on a runner.
    pub const fn is_bridge(&self) -> bool {
        matches!(self.kind, JobKind::Bridge)
    }

    /// Whether a runner runs it.
    pub const fn is_build(&self) -> bool {
        matches!(self.kind, JobKind::Build)
    }

    /// Whether another system runs it: the pipeline counts its status, and has no say in it but to cancel it.
    pub const fn is_external(&self) -> bool {
        matches!(self.kind, JobKind::External)
    }
}

impl PipelineState {
    /// The job at an index.
    ///
    /// # Panics
    /// When the index belongs to another pipeline.
    pub fn job(&self, index: JobIndex) -> &JobState {
        &self.jobs[index.0 as usize]
    }

    /// All indices with their rows, oldest first.
    pub fn rows(&self) -> impl Iterator<Item = (JobIndex, &JobState)> {
        (0..).map(JobIndex).zip(self.jobs.iter())
    }

    /// The rows that count: the newest attempt of each job.
    pub fn latest(&self) -> impl Iterator<Item = (JobIndex, &JobState)> {
        self.rows().filter(|(_, job)| !job.retried)
    }
}
