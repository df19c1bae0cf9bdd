//! The runner protocol: what a runner sends to `/runners` and `/jobs`, and the job that it gets.
//!
//! Sources: `lib/api/ci/runner.rb`, `lib/api/entities/ci/job_request/`, `app/presenters/ci/build_runner_presenter.rb`;
//! on the other side `common/spec` and `network/gitlab.go` of gitlab-runner.

mod features;
mod payload;

pub use features::*;
pub use payload::*;

use serde::{Deserialize, Serialize};

use crate::id::RunnerId;
use crate::lenient::null_as_default;
use crate::status::{ArtifactFileType, ArtifactFormat, FailureReason, UnknownWord, vocabulary};
use crate::{Secret, Timestamp, Word};

/// Names of the protocol's own headers, in lower case as HTTP/2 writes them.
pub mod header {
    /// The runner's token, beside the one in the body.
    pub const RUNNER_TOKEN: &str = "runner-token";
    /// The job's token, beside the one in the body.
    pub const JOB_TOKEN: &str = "job-token";
    /// The version of the queue that the runner has seen.
    pub const LAST_UPDATE: &str = "x-gitlab-last-update";
    /// The job's status, told to its runner.
    pub const JOB_STATUS: &str = "job-status";
    /// Seconds until the runner should send its next piece of trace.
    pub const TRACE_UPDATE_INTERVAL: &str = "x-gitlab-trace-update-interval";
}

/// What a runner says about itself in every call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VersionInfo {
    /// The program, `gitlab-runner`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The program's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The commit that the program was built from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The operating system, as Go names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The processor, as Go names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// The executor: `docker`, `shell`, `kubernetes` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    /// The shell that scripts are written for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// What the runner can do.
    pub features: RunnerFeatures,
    /// Facts about its machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigInfo>,
    /// Labels of the runner's process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<std::collections::BTreeMap<String, String>>,
}

/// Facts about the runner's machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigInfo {
    /// The graphics processors that jobs may use.
    #[serde(deserialize_with = "null_as_default")]
    pub gpus: String,
}

/// Where the runner's interactive sessions are reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionInfo {
    /// The address.
    pub url: String,
    /// The certificate to trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// What to send as `Authorization`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Secret>,
}

/// `POST /runners`: registers a runner with a registration token.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RegisterRequest {
    /// The registration token.
    pub token: Secret,
    /// A text for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A note for those who maintain the runner, at most 1024 characters.
    #[serde(skip_serializing_if = "Option::is_none", alias = "maintainer_note")]
    pub maintenance_note: Option<String>,
    /// What the runner says about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<VersionInfo>,
    /// Deprecated, the opposite of `paused`; only one of the two may be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// Whether the runner starts paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Whether the runner stays with its project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked: Option<bool>,
    /// `not_protected` or `ref_protected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_level: Option<String>,
    /// Whether the runner takes jobs without tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_untagged: Option<bool>,
    /// Tags, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag_list: Option<String>,
    /// The longest time for a job, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_timeout: Option<i64>,
}

/// `POST /runners/verify`: says that the runner lives, and registers its manager.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VerifyRequest {
    /// The runner's token.
    pub token: Secret,
    /// Which process asks, `s_` or `r_` and hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_id: Option<String>,
    /// What the runner says about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<VersionInfo>,
}

/// `DELETE /runners`, `DELETE /runners/managers` (with `system_id`), `POST /runners/reset_authentication_token`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RunnerTokenRequest {
    /// The runner's token.
    pub token: Secret,
    /// Which of the runner's processes is meant; needed for managers only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_id: Option<String>,
}

/// The answer to registration, verification and `POST /user/runners`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerRegistrationDetails {
    /// The runner.
    pub id: RunnerId,
    /// Its authentication token.
    pub token: Secret,
    /// When the token ends, if it does.
    #[serde(default)]
    pub token_expires_at: Option<Timestamp>,
}

/// The answer to a reset of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetTokenResult {
    /// The new token.
    pub token: Secret,
    /// When the token ends, if it does.
    #[serde(default)]
    pub token_expires_at: Option<Timestamp>,
}

/// `POST /jobs/request`: asks for a job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobRequest {
    /// What the runner says about itself.
    #[serde(deserialize_with = "null_as_default")]
    pub info: VersionInfo,
    /// The runner's token.
    pub token: Secret,
    /// Which of the runner's processes asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_id: Option<String>,
    /// The last value of [`header::LAST_UPDATE`]; absent or empty at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_update: Option<String>,
    /// The runner's interactive sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionInfo>,
}

vocabulary! {
    /// The states that a runner reports.
    JobState, "job state" {
        /// Reserved, not yet started (two-phase pick-up).
        Pending = "pending",
        /// Runs: a sign of life.
        Running = "running",
        /// Ended well.
        Success = "success",
        /// Ended badly.
        Failed = "failed",
    }
}

/// `PUT /jobs/:id`: says how the job goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobUpdate {
    /// What the runner says about itself.
    #[serde(default, deserialize_with = "null_as_default")]
    pub info: VersionInfo,
    /// The job's token; may come in [`header::JOB_TOKEN`] instead.
    #[serde(default)]
    pub token: Secret,
    /// The state. A word that is none is answered with 400.
    pub state: Word<JobState>,
    /// Why the job failed. What is missing or unknown counts as `unknown_failure`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<Word<FailureReason>>,
    /// Deprecated, see [`TraceOutput::checksum`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// The whole trace, once it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<TraceOutput>,
    /// The script's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
}

impl JobUpdate {
    /// An update that says only the state.
    pub fn new(state: JobState) -> Self {
        Self {
            info: VersionInfo::default(),
            token: Secret::default(),
            state: Word::Known(state),
            failure_reason: None,
            checksum: None,
            output: None,
            exit_code: None,
        }
    }
}

/// What the runner knows about the whole trace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TraceOutput {
    /// `crc32:` and eight hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// The size in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytesize: Option<u64>,
}

/// `Content-Range` of a piece of trace: `<first>-<last>`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceRange {
    /// The offset of the first byte.
    pub start: u64,
    /// The offset of the last byte.
    pub end: u64,
}

impl std::fmt::Display for TraceRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.start, self.end)
    }
}

impl std::str::FromStr for TraceRange {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers = || {
            let (start, end) = text.trim().split_once('-')?;
            Some(Self { start: start.parse().ok()?, end: end.parse().ok()? })
        };
        numbers().ok_or_else(|| UnknownWord::new("range `<first>-<last>`", text))
    }
}

/// The query of `POST /jobs/:id/artifacts`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ArtifactsUpload {
    /// How the file is packed.
    pub artifact_format: Word<ArtifactFormat>,
    /// What the file is.
    pub artifact_type: Word<ArtifactFileType>,
    /// How long to keep it, as people say it: `1 week`, `never`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expire_in: Option<String>,
    /// Who may download it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accessibility: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_update_keeps_words_that_are_unknown() {
        let read: JobUpdate =
            serde_json::from_value(json!({"token": "t", "state": "dancing", "failure_reason": "rain"}))
                .unwrap();
        assert_eq!(read.state.known(), None);
        assert_eq!(read.failure_reason, Some(Word::Other("rain".to_owned())));
    }

    #[test]
    fn a_trace_range_has_no_unit() {
        assert_eq!("0-99".parse::<TraceRange>().unwrap(), TraceRange { start: 0, end: 99 });
        assert_eq!(TraceRange { start: 5, end: 9 }.to_string(), "5-9");
        for wrong in ["bytes 0-99", "99", "-", "a-b", ""] {
            assert!(wrong.parse::<TraceRange>().is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_trace_range_is_read_as_it_was_written(start: u64, end: u64) {
            let range = TraceRange { start, end };
            proptest::prop_assert_eq!(range.to_string().parse::<TraceRange>(), Ok(range));
        }
    }
}
