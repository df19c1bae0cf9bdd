//! Runners. Source: `lib/api/entities/ci/runner*.rb`. For their protocol see [`crate::runner`].

use serde::{Deserialize, Serialize};

use crate::groups::BasicGroupDetails;
use crate::id::{RunnerId, RunnerManagerId};
use crate::projects::ProjectIdentity;
use crate::users::UserBasic;
use crate::{Extra, RunnerAccessLevel, RunnerType, Timestamp, Word};

pub use crate::runner::{ResetTokenResult, RunnerRegistrationDetails};

crate::status::vocabulary! {
    /// How a runner is, by its last contact.
    RunnerStatus, "runner status" {
        /// Within two hours.
        Online = "online",
        /// Not within two hours.
        Offline = "offline",
        /// Not within seven days.
        Stale = "stale",
        /// Not yet.
        NeverContacted = "never_contacted",
    }
}

crate::status::vocabulary! {
    /// Whether a runner has a job.
    JobExecutionStatus, "job execution status" {
        /// It has none.
        Idle = "idle",
        /// It has one.
        Active = "active",
    }
}

/// A runner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Runner {
    /// The runner.
    pub id: RunnerId,
    /// A text for people.
    pub description: Option<String>,
    /// Where it last called from; null in newest versions.
    pub ip_address: Option<String>,
    /// Deprecated, the opposite of `paused`.
    #[serde(default)]
    pub active: bool,
    /// Whether it gets no jobs.
    #[serde(default)]
    pub paused: bool,
    /// Whether it works for all projects.
    #[serde(default)]
    pub is_shared: bool,
    /// For whom it works.
    pub runner_type: Option<Word<RunnerType>>,
    /// The program's name.
    pub name: Option<String>,
    /// Whether it called within two hours; null if it never called.
    pub online: Option<bool>,
    /// How it is.
    pub status: Option<Word<RunnerStatus>>,
    /// Who made it.
    #[serde(default)]
    pub created_by: Option<UserBasic>,
    /// When it was made.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// Whether it has a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_execution_status: Option<Word<JobExecutionStatus>>,
}

/// A runner with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunnerDetails {
    /// The runner.
    #[serde(flatten)]
    pub runner: Runner,
    /// Its tags.
    #[serde(default)]
    pub tag_list: Vec<String>,
    /// Whether it takes jobs without tags.
    #[serde(default)]
    pub run_untagged: bool,
    /// Whether it stays with its projects.
    #[serde(default)]
    pub locked: bool,
    /// The longest time for a job, in seconds.
    pub maximum_timeout: Option<i64>,
    /// Of which refs it takes jobs.
    #[serde(default)]
    pub access_level: Word<RunnerAccessLevel>,
    /// The program's version.
    pub version: Option<String>,
    /// The commit that the program was built from.
    pub revision: Option<String>,
    /// The operating system.
    pub platform: Option<String>,
    /// The processor.
    pub architecture: Option<String>,
    /// When it last called.
    pub contacted_at: Option<Timestamp>,
    /// A note for those who maintain it.
    pub maintenance_note: Option<String>,
    /// Its projects; for a project's runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projects: Option<Vec<ProjectIdentity>>,
    /// Its groups; for a group's runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<BasicGroupDetails>>,
    /// What this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One process that uses a runner's token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunnerManager {
    /// The process.
    pub id: RunnerManagerId,
    /// What it calls itself.
    pub system_id: String,
    /// The program's version.
    pub version: Option<String>,
    /// The commit that the program was built from.
    pub revision: Option<String>,
    /// The operating system.
    pub platform: Option<String>,
    /// The processor.
    pub architecture: Option<String>,
    /// When it first called.
    pub created_at: Option<Timestamp>,
    /// When it last called.
    pub contacted_at: Option<Timestamp>,
    /// Where it last called from.
    pub ip_address: Option<String>,
    /// How it is.
    pub status: Option<Word<RunnerStatus>>,
    /// Whether it has a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_execution_status: Option<Word<JobExecutionStatus>>,
}

crate::inherits!(RunnerDetails => runner: Runner);
