//! Jobs and bridges. Source: `lib/api/entities/ci/{job_basic,job,bridge,job_basic_with_project}.rb`.

use serde::{Deserialize, Serialize};

use crate::artifacts::{ArtifactsFile, JobArtifact};
use crate::commits::Commit;
use crate::id::JobId;
use crate::pipelines::PipelineBasic;
use crate::projects::ProjectIdentity;
use crate::runners::{Runner, RunnerManager};
use crate::status::{FailureReason, JobStatus, PipelineSource};
use crate::users::User;
use crate::{Extra, Timestamp, Word};

/// What jobs and bridges have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobBasic {
    /// The job.
    pub id: JobId,
    /// Its status.
    pub status: Word<JobStatus>,
    /// Its stage.
    pub stage: String,
    /// Its name.
    pub name: String,
    /// Its branch or tag.
    #[serde(rename = "ref")]
    pub ref_name: String,
    /// Whether it runs for a tag.
    #[serde(default)]
    pub tag: bool,
    /// Its coverage in percent. A number, unlike a pipeline's.
    pub coverage: Option<f64>,
    /// Whether its failure leaves the pipeline's status alone.
    #[serde(default)]
    pub allow_failure: bool,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When its trace and artifacts were removed.
    pub erased_at: Option<Timestamp>,
    /// How long it ran, or runs so far, in seconds with a fraction.
    pub duration: Option<f64>,
    /// How long it waited for a runner, in seconds with a fraction.
    pub queued_duration: Option<f64>,
    /// For whom it runs.
    pub user: Option<User>,
    /// Its commit.
    pub commit: Option<Commit>,
    /// Its pipeline.
    pub pipeline: Option<PipelineBasic>,
    /// Why it failed; for failed jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<Word<FailureReason>>,
    /// Its page.
    #[serde(default)]
    pub web_url: String,
}

/// What a job says about its project.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobProject {
    /// Whether job tokens of the project reach only listed projects.
    pub ci_job_token_scope_enabled: bool,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// What it has in common with bridges.
    #[serde(flatten)]
    pub basic: JobBasic,
    /// Its project.
    #[serde(default)]
    pub project: JobProject,
    /// Its archive, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts_file: Option<ArtifactsFile>,
    /// All its artifact files, the trace and metadata too.
    #[serde(default)]
    pub artifacts: Vec<JobArtifact>,
    /// The runner that has it.
    pub runner: Option<Runner>,
    /// Which process of the runner.
    pub runner_manager: Option<RunnerManager>,
    /// When the artifacts go.
    pub artifacts_expire_at: Option<Timestamp>,
    /// Whether it is too old to be run again.
    #[serde(default)]
    pub archived: bool,
    /// Its tags, sorted.
    #[serde(default)]
    pub tag_list: Vec<String>,
    /// Where its pipeline came from (newest versions).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Word<PipelineSource>>,
    /// What this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A job that starts a downstream pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bridge {
    /// What it has in common with jobs.
    #[serde(flatten)]
    pub basic: JobBasic,
    /// Its project.
    #[serde(default)]
    pub project: JobProject,
    /// The pipeline that it started.
    pub downstream_pipeline: Option<PipelineBasic>,
    /// What this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A job of a runner: `GET /runners/:id/jobs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobBasicWithProject {
    /// The job.
    #[serde(flatten)]
    pub basic: JobBasic,
    /// Its project.
    pub project: ProjectIdentity,
}

crate::inherits!(Job => basic: JobBasic, Bridge => basic: JobBasic, JobBasicWithProject => basic: JobBasic);
