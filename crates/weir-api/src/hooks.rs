//! Webhooks of projects. Source: `lib/api/entities/hook.rb`, `lib/api/entities/project_hook.rb`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;
use crate::id::{HookId, ProjectId};
use crate::status::vocabulary;

vocabulary! {
    /// What a hook can be told. Those that have no source here are kept as they are set.
    HookEvent, "hook event" {
        /// A branch moved.
        Push = "push_events",
        /// A tag was made or removed.
        TagPush = "tag_push_events",
        /// A merge request changed.
        MergeRequests = "merge_requests_events",
        /// A job's status changed.
        Job = "job_events",
        /// A pipeline's status changed.
        Pipeline = "pipeline_events",
        /// A deployment began or ended.
        Deployment = "deployment_events",
        /// An issue changed.
        Issues = "issues_events",
        /// A confidential issue changed.
        ConfidentialIssues = "confidential_issues_events",
        /// Somebody commented.
        Note = "note_events",
        /// Somebody commented in confidence.
        ConfidentialNote = "confidential_note_events",
        /// A page of the wiki changed.
        WikiPage = "wiki_page_events",
        /// A feature flag was turned.
        FeatureFlag = "feature_flag_events",
        /// A release changed.
        Releases = "releases_events",
        /// A milestone changed.
        Milestone = "milestone_events",
        /// Somebody reacted.
        Emoji = "emoji_events",
        /// An access token is about to expire.
        ResourceAccessToken = "resource_access_token_events",
        /// A vulnerability changed.
        Vulnerability = "vulnerability_events",
    }
}

vocabulary! {
    /// Whether a hook is told anything at present.
    AlertStatus, "alert status" {
        /// It is.
        Executable = "executable",
        /// Not for a while, because it failed.
        TemporarilyDisabled = "temporarily_disabled",
        /// Not any more, because it failed too often.
        Disabled = "disabled",
    }
}

/// A hook of a project.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProjectHook {
    /// Its id.
    pub id: HookId,
    /// Where it is told.
    pub url: String,
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it is told of each event.
    #[serde(flatten)]
    pub events: BTreeMap<HookEvent, bool>,
    /// Of system hooks only.
    pub repository_update_events: bool,
    /// Whether the receiver's certificate is verified.
    pub enable_ssl_verification: bool,
    /// Whether it is told anything at present.
    pub alert_status: AlertStatus,
    /// Until when it is not.
    pub disabled_until: Option<Timestamp>,
    /// Parts of the URL that are kept secret.
    pub url_variables: Vec<Value>,
    /// The branches whose pushes it is told.
    pub push_events_branch_filter: Option<String>,
    /// How the filter is read.
    pub branch_filter_strategy: String,
    /// A template of the body.
    pub custom_webhook_template: Option<String>,
    /// Headers of its own.
    pub custom_headers: Vec<Value>,
    /// Its project.
    pub project_id: ProjectId,
}

/// An attempt to tell a hook something: `GET …/hooks/:id/events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HookLog {
    /// Its id.
    pub id: i64,
    /// Where it was sent.
    pub url: String,
    /// What it told of, `push_hooks`.
    pub trigger: String,
    /// The headers.
    pub request_headers: Value,
    /// The body.
    pub request_data: Value,
    /// The answer's headers.
    pub response_headers: Value,
    /// The answer's body.
    pub response_body: String,
    /// Seconds.
    pub execution_duration: f64,
    /// The answer's status, or `internal error`.
    pub response_status: String,
}
