//! Every bound on what a job may make the runner keep, send or wait for.

use std::time::Duration;

/// The largest piece of trace in one request, in bytes. Source: `DefaultTracePatchLimit` of gitlab-runner.
pub const TRACE_PATCH_BYTES: usize = 1024 * 1024;
/// The largest trace unless configured, in bytes. Source: `DefaultTraceOutputLimit` of gitlab-runner.
pub const TRACE_BYTES: usize = 4 * 1024 * 1024;
/// How many token prefixes are masked; more are ignored. Source: gitlab-runner's `tokensanitizer`.
pub const TOKEN_PREFIXES: usize = 15;
/// How much output is read from a process at once, in bytes.
pub const READ_BYTES: usize = 64 * 1024;
/// How often the final update of a job is tried. Source: `DefaultFinalUpdateRetryLimit` of gitlab-runner.
pub const FINAL_UPDATE_TRIES: u32 = 10;
/// How often an artifact file is offered. Source: `serviceUnavailableTries` of gitlab-runner.
pub const UPLOAD_TRIES: u32 = 3;
/// How often an artifact file is asked for.
pub const DOWNLOAD_TRIES: u32 = 3;
/// How often a stage may be tried at most, whatever `GET_SOURCES_ATTEMPTS` says.
pub const STAGE_TRIES: u64 = 10;
/// How long output is still read after the shell ended while a background process holds the pipe.
pub const DRAIN: Duration = Duration::from_millis(500);
/// A pipe that is silent for this long after the shell ended has nothing more to say.
pub const DRAIN_QUIET: Duration = Duration::from_millis(50);
/// The longest wait between two tries of a failed request.
pub const BACKOFF: Duration = Duration::from_secs(30);
/// The longest update interval that a server can ask for. Source: `MaxUpdateInterval` of gitlab-runner.
pub const UPDATE_INTERVAL: Duration = Duration::from_mins(15);
/// The timeout of a job that has none. Source: `DefaultTimeout` of gitlab-runner.
pub const JOB_TIMEOUT: Duration = Duration::from_hours(2);
/// The timeout of `after_script` unless configured. Source: `AfterScriptTimeout` of gitlab-runner.
pub const AFTER_SCRIPT_TIMEOUT: Duration = Duration::from_mins(5);
/// How long interrupted jobs may take to stop and to be reported.
pub const LAST_REPORT: Duration = Duration::from_secs(30);
/// How many jobs a server may refuse to name before the runner rests. Source: `DefaultUnhealthyRequestsLimit`.
pub const UNHEALTHY_REQUESTS: u32 = 3;
/// How many files an archive to extract may hold.
pub const ARCHIVE_ENTRIES: usize = 2_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_trace_fits_into_few_requests() {
        const { assert!(TRACE_BYTES.div_ceil(TRACE_PATCH_BYTES) <= 4) }
        const { assert!(READ_BYTES <= TRACE_PATCH_BYTES) }
        assert!(DRAIN_QUIET < DRAIN);
    }
}
