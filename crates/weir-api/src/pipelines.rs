//! Pipelines. Source: `lib/api/entities/ci/pipeline*.rb`.

use serde::{Deserialize, Serialize};

use crate::detailed_status::DetailedStatus;
use crate::id::{PipelineId, ProjectId};
use crate::status::{JobStatus, PipelineSource};
use crate::users::UserBasic;
use crate::{Extra, Timestamp, VariableType, Word};

/// A pipeline as other entities name one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineBasic {
    /// The pipeline.
    pub id: PipelineId,
    /// Its number within the project.
    pub iid: Option<i64>,
    /// Its project.
    pub project_id: Option<ProjectId>,
    /// Its commit.
    pub sha: String,
    /// Its branch or tag; for a merge request `refs/merge-requests/N/head`.
    #[serde(rename = "ref")]
    pub ref_name: String,
    /// Its status.
    pub status: Word<JobStatus>,
    /// Where it came from.
    pub source: Option<Word<PipelineSource>>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
    /// Its page.
    #[serde(default)]
    pub web_url: String,
}

/// A pipeline in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineBasicWithMetadata {
    /// The pipeline.
    #[serde(flatten)]
    pub basic: PipelineBasic,
    /// Its name, from `workflow:name`.
    pub name: Option<String>,
    /// What this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    /// What names it.
    #[serde(flatten)]
    pub basic: PipelineBasic,
    /// The commit before; zeros if unknown.
    pub before_sha: Option<String>,
    /// Whether it runs for a tag.
    #[serde(default)]
    pub tag: bool,
    /// What is wrong with its configuration.
    pub yaml_errors: Option<String>,
    /// Who started it.
    pub user: Option<UserBasic>,
    /// When its first job ran.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Normally null.
    pub committed_at: Option<Timestamp>,
    /// How long jobs were busy, in seconds. An integer, unlike a job's.
    pub duration: Option<i64>,
    /// How long it waited, in seconds. An integer, unlike a job's.
    pub queued_duration: Option<i64>,
    /// The mean coverage of its jobs in percent, `"86.50"`. A text, unlike a job's.
    pub coverage: Option<String>,
    /// Its status for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detailed_status: Option<DetailedStatus>,
    /// Whether it is archived (newest versions).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    /// Its name, from `workflow:name`.
    pub name: Option<String>,
    /// What this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A variable that a pipeline was started with. `Debug` leaves the value out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineVariable {
    /// What a job gets.
    #[serde(default)]
    pub variable_type: VariableType,
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Whether `$` in its value is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<bool>,
}

impl std::fmt::Debug for PipelineVariable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PipelineVariable").field("key", &self.key).finish_non_exhaustive()
    }
}

crate::inherits!(PipelineBasicWithMetadata => basic: PipelineBasic, Pipeline => basic: PipelineBasic);
