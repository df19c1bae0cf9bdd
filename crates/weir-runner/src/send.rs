//! Sends a job's trace while it grows, then the job's result.
//!
//! Source: `network/trace.go` of gitlab-runner; what differs is that new output does not wait for a fixed interval.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};
use weir_api::runner::{JobState, JobUpdate, TraceOutput};
use weir_api::{FailureReason, Word};
use weir_client::runner::{Reaction, TraceOutcome, UpdateOutcome};

use crate::config::Config;
use crate::error::JobError;
use crate::job::Signals;
use crate::limits;
use crate::server::{Credentials, Server};
use crate::trace::Trace;

/// How long the first output waits for more, so that a short job's trace goes in one piece.
const FIRST_DELAY: Duration = Duration::from_millis(15);

/// The interval until the server asks for another one. Source: `DefaultUpdateInterval` of gitlab-runner.
const SERVER_INTERVAL: Duration = Duration::from_secs(3);

/// The one who talks to the server about a running job.
pub(crate) struct Sender<'a> {
    pub(crate) server: &'a Server,
    pub(crate) credentials: &'a Credentials,
    pub(crate) trace: &'a Trace,
    pub(crate) signals: &'a Signals,
    pub(crate) config: &'a Config,
    pub(crate) known_reasons: &'a [Word<FailureReason>],
    /// Whether the trace shows what the shell does, which only some users may see.
    pub(crate) debug_trace: bool,
}

/// What goes on between the requests.
struct Progress {
    /// What the server has of the trace.
    sent: u64,
    last_contact: Instant,
    /// What the server asked for.
    interval: Duration,
    failures: u32,
}

impl Progress {
    /// The wait before the next try: longer after each failure.
    fn backoff(&self) -> Duration {
        let quarters = 1_u64 << self.failures.saturating_sub(1).min(10);
        Duration::from_millis(250 * quarters).min(limits::BACKOFF)
    }

    /// The wait after a piece that arrived, for a job of this age: a fraction of the age, up to the server's interval.
    /// So whoever watches a job begin sees it at once, for some 16 requests more at most.
    fn pause(&self, age: Duration) -> Duration {
        self.interval.min(age / 2)
    }
}

impl Sender<'_> {
    /// Sends until the trace is finished and the `outcome` is told, or until the server wants no more.
    pub(crate) async fn run(&self, outcome: oneshot::Receiver<Result<(), JobError>>) {
        let interval = match self.server {
            Server::Remote(_) => SERVER_INTERVAL,
            Server::Local(_) => FIRST_DELAY,
        };
        let mut progress = Progress { sent: 0, last_contact: Instant::now(), interval, failures: 0 };
        self.while_running(&mut progress).await;
        let Ok(outcome) = outcome.await else { return };
        if self.signals.abort.is_cancelled() {
            return;
        }
        self.final_update(&mut progress, &outcome).await;
    }

    async fn while_running(&self, progress: &mut Progress) {
        let begin = Instant::now();
        let mut next_patch = begin + FIRST_DELAY;
        while !self.trace.is_finished() && !self.signals.abort.is_cancelled() {
            let keep_alive = progress.last_contact + self.config.keep_alive;
            let grown = async {
                self.trace.grown_beyond(progress.sent).await;
                tokio::select! {
                    () = sleep_until(next_patch) => {}
                    () = self.trace.finished() => {}
                }
            };
            let has_output = tokio::select! {
                () = grown => true,
                () = sleep_until(keep_alive) => false,
                () = self.signals.abort.cancelled() => return,
            };
            if self.trace.is_finished() {
                return;
            }
            if has_output {
                self.patch(progress).await;
                let interval = if progress.failures > 0 {
                    progress.backoff()
                } else {
                    let pause = progress.pause(begin.elapsed());
                    self.config.trace_interval.map_or(pause, |most| pause.min(most))
                };
                next_patch = Instant::now() + interval;
            } else {
                self.keep_alive(progress).await;
            }
        }
    }

    /// Sends the next piece. Whether it arrived shows in `progress`.
    async fn patch(&self, progress: &mut Progress) -> Option<TraceOutcome> {
        let piece = self.trace.read(progress.sent, limits::TRACE_PATCH_BYTES);
        let length = piece.len() as u64;
        match self.server.patch_trace(self.credentials, progress.sent, piece, self.debug_trace).await {
            Ok(reaction) => {
                self.hear(&reaction, progress);
                match reaction.outcome {
                    TraceOutcome::Accepted { .. } => {
                        progress.sent += length;
                        progress.last_contact = Instant::now();
                        progress.failures = 0;
                    }
                    // The server's length holds, also if it is more than was sent: an earlier answer got lost.
                    TraceOutcome::RangeMismatch { expected } => {
                        let expected = expected.min(self.trace.len());
                        progress.failures += u32::from(expected == progress.sent);
                        progress.sent = expected;
                    }
                    TraceOutcome::NotFound => progress.failures += 1,
                    TraceOutcome::Abort => self.signals.abort.cancel(),
                }
                Some(reaction.outcome)
            }
            Err(problem) => {
                tracing::warn!(job = %self.credentials.id, %problem, "sending a piece of the trace failed");
                progress.failures += 1;
                None
            }
        }
    }

    async fn keep_alive(&self, progress: &mut Progress) {
        let reaction = self.server.update(self.credentials, &self.update(JobState::Running)).await;
        progress.last_contact = Instant::now();
        match reaction {
            Ok(reaction) => {
                self.hear(&reaction, progress);
                if reaction.outcome == UpdateOutcome::Abort {
                    self.signals.abort.cancel();
                }
            }
            Err(problem) => tracing::warn!(job = %self.credentials.id, %problem, "the sign of life failed"),
        }
    }

    fn hear<T>(&self, reaction: &Reaction<T>, progress: &mut Progress) {
        if reaction.is_canceling() {
            self.signals.cancel.cancel();
        }
        if let Some(interval) = reaction.interval {
            progress.interval = interval.min(limits::UPDATE_INTERVAL);
        }
    }

    fn update(&self, state: JobState) -> JobUpdate {
        JobUpdate {
            info: self.config.info(),
            token: self.credentials.token.clone(),
            state: state.into(),
            failure_reason: None,
            checksum: None,
            output: Some(TraceOutput {
                checksum: Some(format!("crc32:{:08x}", self.trace.checksum())),
                bytesize: Some(self.trace.len()),
            }),
            exit_code: None,
        }
    }

    /// Sends the rest of the trace and the result, again and again until the server has both.
    async fn final_update(&self, progress: &mut Progress, outcome: &Result<(), JobError>) {
        let mut update = self.update(if outcome.is_ok() { JobState::Success } else { JobState::Failed });
        if let Err(error) = outcome {
            update.failure_reason = Some(self.failure_reason(error).into());
            update.exit_code = error.exit_code().map(i64::from);
        }
        progress.failures = 0;
        for _ in 0..limits::FINAL_UPDATE_TRIES {
            match self.rest_and_result(progress, &update).await {
                Ok(()) => return,
                Err(wait) => sleep(wait).await,
            }
        }
        tracing::error!(job = %self.credentials.id, "the job's result could not be reported");
    }

    /// Sends what is missing; the error is how long to wait before the next try.
    async fn rest_and_result(&self, progress: &mut Progress, update: &JobUpdate) -> Result<(), Duration> {
        let mut mismatches = 0;
        while progress.sent < self.trace.len() {
            match self.patch(progress).await {
                Some(TraceOutcome::Accepted { .. }) => {}
                // Once tells the offset; a server that changes its mind needs a pause.
                Some(TraceOutcome::RangeMismatch { .. }) if mismatches == 0 => mismatches += 1,
                // Without its trace the job still has its result.
                Some(TraceOutcome::NotFound) => break,
                Some(TraceOutcome::Abort) => return Ok(()),
                Some(TraceOutcome::RangeMismatch { .. }) | None => return Err(progress.backoff()),
            }
        }
        match self.server.update(self.credentials, update).await {
            Ok(reaction) => match reaction.outcome {
                // Once it has the result, the server may well say that the job ended.
                UpdateOutcome::Accepted | UpdateOutcome::Abort => Ok(()),
                UpdateOutcome::Incomplete => {
                    progress.failures += 1;
                    Err(reaction.interval.unwrap_or_else(|| progress.backoff()).min(limits::BACKOFF))
                }
                UpdateOutcome::ResendTrace => {
                    progress.failures += 1;
                    progress.sent = 0;
                    Err(Duration::ZERO)
                }
            },
            Err(problem) => {
                tracing::warn!(job = %self.credentials.id, %problem, "reporting the job's result failed");
                progress.failures += 1;
                Err(progress.backoff())
            }
        }
    }

    /// The reason in a word that the server knows. Source: `newFailureReasonMapper` of gitlab-runner.
    fn failure_reason(&self, error: &JobError) -> FailureReason {
        let reason = error.failure_reason();
        let is_always_known = matches!(
            reason,
            FailureReason::ScriptFailure
                | FailureReason::RunnerSystemFailure
                | FailureReason::JobExecutionTimeout
                | FailureReason::UnknownFailure
        );
        if is_always_known || self.known_reasons.iter().any(|known| *known == reason) {
            return reason;
        }
        match reason {
            FailureReason::RunnerInterrupted => FailureReason::RunnerSystemFailure,
            _ => FailureReason::UnknownFailure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_a_young_job_goes_soon_and_in_few_requests() {
        let progress =
            Progress { sent: 0, last_contact: Instant::now(), interval: SERVER_INTERVAL, failures: 0 };
        let (mut age, mut requests) = (FIRST_DELAY, 1);
        while progress.pause(age) < SERVER_INTERVAL {
            age += progress.pause(age);
            requests += 1;
        }
        assert_eq!((requests, age.as_secs()), (16, 6));
        assert_eq!(progress.pause(Duration::from_hours(1)), SERVER_INTERVAL);
    }
}
