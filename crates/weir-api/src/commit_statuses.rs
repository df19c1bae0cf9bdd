//! Commit statuses. Source: `lib/api/entities/commit_status.rb`.

use serde::{Deserialize, Serialize};

use crate::id::{JobId, PipelineId};
use crate::status::JobStatus;
use crate::users::UserBasic;
use crate::{Timestamp, Word};

/// A job, a bridge, or a job of another system, as one of the statuses of its commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommitStatus {
    /// Its id.
    pub id: JobId,
    /// The commit.
    pub sha: String,
    /// The branch or tag.
    #[serde(rename = "ref")]
    pub ref_name: String,
    /// Its status.
    pub status: Word<JobStatus>,
    /// Its name.
    pub name: String,
    /// Where it is shown.
    pub target_url: Option<String>,
    /// A short text.
    pub description: Option<String>,
    /// When the row was made.
    pub created_at: Option<Timestamp>,
    /// Move to running.
    pub started_at: Option<Timestamp>,
    /// Move to success, failed or canceled.
    pub finished_at: Option<Timestamp>,
    /// Whether failure is a warning.
    #[serde(default)]
    pub allow_failure: bool,
    /// Percent.
    pub coverage: Option<f64>,
    /// Its pipeline.
    pub pipeline_id: Option<PipelineId>,
    /// Who runs or reported it.
    pub author: Option<UserBasic>,
}
