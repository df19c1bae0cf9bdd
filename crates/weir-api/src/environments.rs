//! Environments and deployments. Source: `lib/api/entities/{environment_basic,environment,deployment}.rb`.

use serde::{Deserialize, Serialize};

use crate::id::{DeploymentId, EnvironmentId};
use crate::jobs::Job;
use crate::lenient::present;
use crate::projects::BasicProjectDetails;
use crate::status::vocabulary;
use crate::users::UserBasic;
use crate::{Extra, Timestamp, Word};

vocabulary! {
    /// What a job does with its environment. Source: `lib/gitlab/ci/config/entry/environment.rb`.
    #[derive(Default)]
    EnvironmentAction, "environment action" {
        /// Deploys to it.
        #[default]
        Start = "start",
        /// Prepares it.
        Prepare = "prepare",
        /// Stops it.
        Stop = "stop",
        /// Verifies what is there.
        Verify = "verify",
        /// Uses what is there.
        Access = "access",
    }
}

vocabulary! {
    /// What an environment is for. Source: `app/models/environment.rb`.
    EnvironmentTier, "tier" {
        /// For users.
        Production = "production",
        /// As for users.
        Staging = "staging",
        /// For testers.
        Testing = "testing",
        /// For developers.
        Development = "development",
        /// For something else.
        Other = "other",
    }
}

vocabulary! {
    /// Whether something runs there.
    EnvironmentState, "state" {
        /// Yes.
        Available = "available",
        /// Yes, until its stop job has ended.
        Stopping = "stopping",
        /// No.
        Stopped = "stopped",
    }
}

vocabulary! {
    /// What stops an environment that is to be stopped.
    #[derive(Default)]
    AutoStopSetting, "auto stop setting" {
        /// Its stop job or, without one, the word alone.
        #[default]
        Always = "always",
        /// Its stop job; without one it stays.
        WithAction = "with_action",
    }
}

vocabulary! {
    /// The status of a deployment. Source: `app/models/deployment.rb`.
    DeploymentStatus, "deployment status" {
        /// Its job waits.
        Created = "created",
        /// Its job runs.
        Running = "running",
        /// It is there.
        Success = "success",
        /// It did not get there.
        Failed = "failed",
        /// It was given up.
        Canceled = "canceled",
        /// Its job was left out.
        Skipped = "skipped",
        /// Its job waits for somebody to start it.
        Blocked = "blocked",
    }
}

/// An environment as part of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentBasic {
    /// The environment.
    pub id: EnvironmentId,
    /// Its name.
    pub name: String,
    /// Its name for host names and the like.
    pub slug: String,
    /// Where to see it.
    pub external_url: Option<String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
}

/// An environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// What a deployment says of it, too.
    #[serde(flatten)]
    pub basic: EnvironmentBasic,
    /// What it is for.
    pub tier: Word<EnvironmentTier>,
    /// Its project; not in the answer to `GET` of one environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<BasicProjectDetails>,
    /// What was last deployed to it; only in the answer to `GET` of one environment.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub last_deployment: Option<Option<Deployment>>,
    /// Whether something runs there.
    pub state: Word<EnvironmentState>,
    /// When it stops by itself.
    pub auto_stop_at: Option<Timestamp>,
    /// What it is, in words.
    pub description: Option<String>,
    /// What stops it.
    pub auto_stop_setting: Option<Word<AutoStopSetting>>,
    /// What this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// The deployment.
    pub id: DeploymentId,
    /// Its number in the project.
    pub iid: i64,
    /// The branch or tag.
    #[serde(rename = "ref")]
    pub ref_name: String,
    /// The commit.
    pub sha: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Who deployed.
    pub user: Option<UserBasic>,
    /// Where to; not as part of its environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentBasic>,
    /// The job; none for a deployment that was reported.
    pub deployable: Option<Box<Job>>,
    /// Its status.
    pub status: Word<DeploymentStatus>,
    /// What this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

crate::inherits!(Environment => basic: EnvironmentBasic);
