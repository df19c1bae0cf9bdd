//! A status for people. Source: `lib/gitlab/ci/status/`.

use serde::{Deserialize, Serialize};

use crate::lenient::null_as_default;
use crate::status::{FailureReason, JobStatus};

/// A status with its texts and pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetailedStatus {
    /// The icon's name.
    pub icon: String,
    /// One word.
    pub text: String,
    /// A few words.
    pub label: String,
    /// Statuses that look alike have one group.
    pub group: String,
    /// More words.
    #[serde(default, deserialize_with = "null_as_default")]
    pub tooltip: String,
    /// Whether the caller may open `details_path`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub has_details: bool,
    /// The page, without the host.
    pub details_path: Option<String>,
    /// What an empty page of the job shows.
    pub illustration: Option<serde_json::Value>,
    /// The icon of the browser's tab.
    #[serde(default, deserialize_with = "null_as_default")]
    pub favicon: String,
    /// What can be done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<StatusAction>,
}

/// What can be done about a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAction {
    /// The icon's name.
    pub icon: String,
    /// What it does.
    pub title: String,
    /// Where to send the request, without the host.
    pub path: String,
    /// Its method.
    pub method: String,
    /// The button's text.
    #[serde(default)]
    pub button_title: String,
    /// What to ask before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation_message: Option<String>,
}

/// Whose status it is; a few differ in their words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusOf {
    /// A job or bridge.
    Job,
    /// A pipeline or stage.
    Pipeline,
}

/// The fixed words of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusWords {
    /// The icon's name.
    pub icon: &'static str,
    /// One word.
    pub text: &'static str,
    /// A few words.
    pub label: &'static str,
    /// Statuses that look alike have one group.
    pub group: &'static str,
    /// The end of the favicon's name.
    pub favicon: &'static str,
}

impl StatusWords {
    /// The words for `status` of a `subject`; `with_warnings` if a job that may fail did.
    pub const fn of(status: JobStatus, subject: StatusOf, with_warnings: bool) -> Self {
        use JobStatus as S;
        let (icon, text, label, group, favicon) = match (status, subject) {
            (S::Created, _) => ("status_created", "Created", "created", "created", "created"),
            (S::WaitingForResource, _) => {
                ("status_pending", "Waiting", "waiting for resource", "waiting-for-resource", "pending")
            }
            (S::WaitingForCallback, _) => {
                ("status_pending", "Waiting", "waiting for callback", "waiting-for-callback", "pending")
            }
            (S::Preparing, _) => ("status_preparing", "Preparing", "preparing", "preparing", "preparing"),
            (S::Pending, _) => ("status_pending", "Pending", "pending", "pending", "pending"),
            (S::Running, _) => ("status_running", "Running", "running", "running", "running"),
            (S::Success, _) if with_warnings => {
                ("status_warning", "Warning", "passed with warnings", "success-with-warnings", "success")
            }
            (S::Success, _) => ("status_success", "Passed", "passed", "success", "success"),
            (S::Failed, StatusOf::Job) if with_warnings => {
                ("status_warning", "Failed", "failed (allowed to fail)", "failed-with-warnings", "failed")
            }
            (S::Failed, _) => ("status_failed", "Failed", "failed", "failed", "failed"),
            (S::Canceling, _) => ("status_canceled", "Canceling", "canceling", "canceling", "canceled"),
            (S::Canceled, _) => ("status_canceled", "Canceled", "canceled", "canceled", "canceled"),
            (S::Skipped, _) => ("status_skipped", "Skipped", "skipped", "skipped", "skipped"),
            (S::Manual, StatusOf::Job) => ("status_manual", "Manual", "manual action", "manual", "manual"),
            (S::Manual, StatusOf::Pipeline) => {
                ("status_manual", "Blocked", "waiting for manual action", "manual", "manual")
            }
            (S::Scheduled, StatusOf::Job) => {
                ("status_scheduled", "Scheduled", "scheduled", "scheduled", "scheduled")
            }
            (S::Scheduled, StatusOf::Pipeline) => {
                ("status_scheduled", "Delayed", "waiting for delayed job", "scheduled", "scheduled")
            }
        };
        Self { icon, text, label, group, favicon }
    }
}

impl DetailedStatus {
    /// A status with its words, the label as tooltip, and the page to open.
    pub fn new(words: StatusWords, details_path: Option<String>) -> Self {
        Self {
            icon: words.icon.to_owned(),
            text: words.text.to_owned(),
            label: words.label.to_owned(),
            group: words.group.to_owned(),
            tooltip: words.label.to_owned(),
            has_details: details_path.is_some(),
            details_path,
            illustration: None,
            favicon: format!("/assets/ci_favicons/favicon_status_{}.png", words.favicon),
            action: None,
        }
    }

    /// The same with the reason in its tooltip, `failed - (script failure)`.
    #[must_use]
    pub fn with_failure(mut self, reason: FailureReason) -> Self {
        let words = failure_words(reason);
        self.tooltip = match self.label.strip_prefix("failed") {
            Some(more) => format!("failed - ({words}){more}"),
            None => format!("{} - ({words})", self.label),
        };
        self
    }
}

/// A failure reason for people. Source: `lib/gitlab/ci/status/build/failed.rb`; where that has no words, the
/// reason's own.
pub fn failure_words(reason: FailureReason) -> std::borrow::Cow<'static, str> {
    use FailureReason as R;
    let words = match reason {
        R::ApiFailure => "API failure",
        R::RunnerUnsupported => "unsupported runner",
        R::PipelineLoopDetected => "job would create infinitely looping pipelines",
        R::InvalidBridgeTrigger => "downstream pipeline trigger definition is invalid",
        R::DownstreamBridgeProjectNotFound => "downstream project could not be found",
        R::UpstreamBridgeProjectNotFound => "upstream project could not be found",
        R::InsufficientBridgePermissions => "no permissions to trigger downstream pipeline",
        R::InsufficientUpstreamPermissions => "no permissions to read upstream project",
        R::BridgePipelineIsChildPipeline => {
            "creation of child pipeline not allowed from another child pipeline"
        }
        R::DownstreamPipelineCreationFailed => "downstream pipeline can not be created",
        R::SecretsProviderNotFound => "secrets provider can not be found",
        R::ReachedMaxDescendantPipelinesDepth => "reached maximum depth of child pipelines",
        R::ReachedMaxPipelineHierarchySize => "downstream pipeline tree is too large",
        R::ProjectDeleted => "pipeline project was deleted",
        R::UserBlocked => "pipeline user was blocked",
        R::CiQuotaExceeded => "no more CI minutes available",
        R::NoMatchingRunner => "no matching runner available",
        R::TraceSizeExceeded => "log size limit exceeded",
        R::BuildsDisabled => "project builds are disabled",
        R::IpRestrictionFailure => "IP address restriction failure",
        R::ReachedDownstreamPipelineTriggerRateLimit => {
            "Too many downstream pipelines triggered in the last minute. Try again later."
        }
        other => return other.as_str().replace('_', " ").into(),
    };
    words.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipelines_words_are_those_of_gitlab() {
        let words: Vec<String> = JobStatus::ALL
            .iter()
            .map(|status| {
                let w = StatusWords::of(*status, StatusOf::Pipeline, false);
                format!("{status}: {} | {} | {} | {} | {}", w.text, w.label, w.group, w.icon, w.favicon)
            })
            .collect();
        insta::assert_snapshot!(words.join("\n"));
    }

    #[test]
    fn a_failed_jobs_tooltip_tells_why() {
        for (with_warnings, reason, tooltip) in [
            (false, FailureReason::ScriptFailure, "failed - (script failure)"),
            (false, FailureReason::RunnerUnsupported, "failed - (unsupported runner)"),
            (true, FailureReason::ScriptFailure, "failed - (script failure) (allowed to fail)"),
        ] {
            let words = StatusWords::of(JobStatus::Failed, StatusOf::Job, with_warnings);
            assert_eq!(DetailedStatus::new(words, None).with_failure(reason).tooltip, tooltip);
        }
    }

    #[test]
    fn a_jobs_words_differ_for_manual_and_scheduled() {
        let text = |status, warnings| StatusWords::of(status, StatusOf::Job, warnings).label;
        assert_eq!(text(JobStatus::Manual, false), "manual action");
        assert_eq!(text(JobStatus::Scheduled, false), "scheduled");
        assert_eq!(text(JobStatus::Success, true), "passed with warnings");
        assert_eq!(text(JobStatus::Failed, true), "failed (allowed to fail)");
    }
}
