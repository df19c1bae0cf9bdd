//! API v3, as it was before GitLab 11: builds, triggers, pipelines. Members that v4 writes only sometimes are
//! null here.

use serde::{Deserialize, Serialize};

use crate::artifacts::ArtifactsFile;
use crate::commits::CommitDate;
use crate::id::{JobId, PipelineId, RunnerId, UserId};
use crate::status::JobStatus;
use crate::users::UserBasic;
use crate::{Secret, Timestamp, UserState, Word};

/// A job, which v3 calls a build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Build {
    /// The build.
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
    pub tag: bool,
    /// Its coverage in percent.
    pub coverage: Option<f64>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// For whom it runs.
    pub user: Option<User>,
    /// Its archive.
    pub artifacts_file: Option<ArtifactsFile>,
    /// Its commit.
    pub commit: Option<Commit>,
    /// The runner that has it.
    pub runner: Option<Runner>,
    /// Its pipeline.
    pub pipeline: Option<PipelineBasic>,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its name.
    pub id: String,
    /// The first 8 digits of its name.
    pub short_id: String,
    /// The message's first line.
    pub title: String,
    /// Who wrote it.
    pub author_name: String,
    /// The author's address.
    pub author_email: String,
    /// When it was committed.
    pub created_at: Option<CommitDate>,
    /// The message.
    pub message: String,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The user.
    pub id: UserId,
    /// The full name.
    pub name: String,
    /// The login name.
    pub username: String,
    /// Whether the user may sign in.
    pub state: Word<UserState>,
    /// The picture.
    pub avatar_url: Option<String>,
    /// The user's page.
    pub web_url: String,
    /// When the account was made.
    pub created_at: Option<Timestamp>,
    /// Whether this is an administrator.
    pub is_admin: bool,
    /// About the user.
    pub bio: Option<String>,
    /// Where the user is.
    pub location: Option<String>,
    /// An account elsewhere.
    pub skype: String,
    /// An account elsewhere.
    pub linkedin: String,
    /// An account elsewhere.
    pub twitter: String,
    /// A page elsewhere.
    pub website_url: String,
    /// Where the user works.
    pub organization: Option<String>,
}

/// A runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    /// The runner.
    pub id: RunnerId,
    /// A text for people.
    pub description: Option<String>,
    /// Whether it gets jobs.
    pub active: bool,
    /// Whether it works for all projects.
    pub is_shared: bool,
    /// The program's name.
    pub name: Option<String>,
}

/// A pipeline as builds name one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineBasic {
    /// The pipeline.
    pub id: PipelineId,
    /// Its commit.
    pub sha: String,
    /// Its branch or tag.
    #[serde(rename = "ref")]
    pub ref_name: String,
    /// Its status.
    pub status: Word<JobStatus>,
}

/// A pipeline; v3 lists them whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    /// What names it.
    #[serde(flatten)]
    pub basic: PipelineBasic,
    /// The commit before; zeros if unknown.
    pub before_sha: Option<String>,
    /// Whether it runs for a tag.
    pub tag: bool,
    /// What is wrong with its configuration.
    pub yaml_errors: Option<String>,
    /// Who started it.
    pub user: Option<UserBasic>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
    /// When its first job ran.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Normally null.
    pub committed_at: Option<Timestamp>,
    /// How long jobs were busy, in seconds.
    pub duration: Option<i64>,
    /// The mean coverage of its jobs in percent, a text.
    pub coverage: Option<String>,
}

/// A trigger token; the token itself is its identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// The token.
    pub token: Secret,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
    /// When it was deleted; null for those that are listed.
    pub deleted_at: Option<Timestamp>,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
    /// For whom its pipelines run.
    pub owner: Option<UserBasic>,
}

/// The answer to the use of a trigger token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerRequest {
    /// Its number.
    pub id: i64,
    /// The variables that came with it.
    pub variables: serde_json::Map<String, serde_json::Value>,
}

crate::inherits!(Pipeline => basic: PipelineBasic);
