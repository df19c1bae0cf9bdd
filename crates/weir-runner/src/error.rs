//! Why a job did not succeed.

use std::time::Duration;

use weir_api::FailureReason;

/// Why a job did not succeed, in the words that its trace ends with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The script ended with this exit code.
    #[error("exit status {0}")]
    Script(i32),
    /// A signal ended the script.
    #[error("signal: {0}")]
    Signal(i32),
    /// A script was ended from outside; who did it says why the job failed.
    #[error("stopped")]
    Stopped,
    /// The job was canceled.
    #[error("canceled")]
    Canceled,
    /// The server no longer wants the job.
    #[error("aborted: the job is no longer wanted")]
    Aborted,
    /// The runner shuts down.
    #[error("aborted: the runner shuts down")]
    Interrupted,
    /// The job took longer than it may.
    #[error("execution took longer than {} seconds", go_duration(*.0))]
    Timeout(Duration),
    /// The script took longer than `RUNNER_SCRIPT_TIMEOUT`.
    #[error("script timeout: context deadline exceeded")]
    ScriptTimeout,
    /// The job asks for something that is not there, or is not understood.
    #[error("{0}")]
    Configuration(String),
    /// The runner failed.
    #[error("{0}")]
    System(String),
}

impl JobError {
    /// A failure of the runner while `doing` something.
    pub(crate) fn system(doing: impl std::fmt::Display, error: &dyn std::error::Error) -> Self {
        Self::System(format!("{doing}: {error}"))
    }

    /// What the server is told. Source: `setTraceStatus` in `common/build.go` of gitlab-runner.
    pub const fn failure_reason(&self) -> FailureReason {
        match self {
            Self::Script(_) | Self::Signal(_) => FailureReason::ScriptFailure,
            Self::Timeout(_) | Self::ScriptTimeout => FailureReason::JobExecutionTimeout,
            Self::Interrupted => FailureReason::RunnerInterrupted,
            Self::Configuration(_) => FailureReason::RunnerConfigurationError,
            // Not one of the server's own words: gitlab-runner reports a canceled job as unknown failure, too.
            Self::Canceled | Self::Aborted => FailureReason::UnknownFailure,
            Self::Stopped | Self::System(_) => FailureReason::RunnerSystemFailure,
        }
    }

    /// The script's exit code; of a signal 128 and its number, as shells have it.
    pub const fn exit_code(&self) -> Option<i32> {
        match self {
            Self::Script(code) => Some(*code),
            Self::Signal(signal) => Some(128 + *signal),
            _ => None,
        }
    }
}

/// `duration` as Go writes it: `1h0m0s`.
fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_reads_as_in_gitlab_runner() {
        for (seconds, text) in [(3600, "1h0m0s"), (90, "1m30s"), (5, "5s")] {
            let error = JobError::Timeout(Duration::from_secs(seconds));
            assert_eq!(error.to_string(), format!("execution took longer than {text} seconds"));
            assert_eq!(error.failure_reason(), FailureReason::JobExecutionTimeout);
        }
    }

    #[test]
    fn only_scripts_have_exit_codes() {
        assert_eq!(JobError::Script(3).exit_code(), Some(3));
        assert_eq!(JobError::Signal(9).exit_code(), Some(137));
        assert_eq!(JobError::Canceled.exit_code(), None);
    }
}
