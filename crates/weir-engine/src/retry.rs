//! Retries: by hand, of a whole pipeline, and automatic ones.
//!
//! Sources: `app/services/ci/retry_job_service.rb`, `app/services/ci/retry_pipeline_service.rb`,
//! `app/services/ci/clone_job_service.rb`, `lib/gitlab/ci/build/auto_retry.rb`.

use std::iter::successors;

use weir_api::FailureReason::{
    self, CiQuotaExceeded, EnvironmentCreationFailure, ForwardDeploymentFailure, JobExecutionTimeout,
    MissingDependencyFailure, NoMatchingRunner, NoUpdatesCanceling, NoUpdatesRunning, PipelineLoopDetected,
    ReachedMaxDescendantPipelinesDepth, RunnerProvisioningTimeout, SchedulerFailure, ServerTimeoutCanceling,
    ServerTimeoutRunning, StuckOrTimeoutFailure, StuckPendingNoMatchingRunners,
    StuckPendingWithMatchingRunners,
};
use weir_api::JobStatus::{Canceled, Canceling, Created, Failed, Success};
use weir_compiler::plan::{Retry, RetryWhen};

use crate::effect::Effect;
use crate::event::Refused;
use crate::limits;
use crate::manual;
use crate::state::{JobIndex, JobState, PipelineState};
use crate::step::Step;

/// Whether [`crate::Event::Retry`] is allowed: the newest attempt, at its end, and not doomed to fail again.
pub const fn is_retryable(job: &JobState) -> bool {
    let doomed = job.is_bridge()
        && matches!(job.failure_reason, Some(PipelineLoopDetected | ReachedMaxDescendantPipelinesDepth));
    !job.retried
        && !doomed
        && !job.is_external()
        && matches!(job.status, Success | Failed | Canceled | Canceling)
}

/// Retries one job.
pub(crate) fn retry(step: &mut Step<'_>, job: JobIndex) -> Result<(), Refused> {
    if !is_retryable(step.find(job)?) {
        return Err(Refused::NotRetryable);
    }
    retry_one(step, job);
    Ok(())
}

/// Retries one job that may be: a new row, run at once even if it is manual or delayed, and another chance for
/// the jobs that were skipped because of the old one.
pub(crate) fn retry_one(step: &mut Step<'_>, job: JobIndex) {
    let immediately = manual::is_actionable(step.state().job(job));
    repeat(step, job, immediately);
    manual::reset_skipped_dependents(step, job);
}

/// Retries every job that failed or was canceled; manual ones wait for a person again. Bridges stay.
pub(crate) fn retry_pipeline(step: &mut Step<'_>) {
    let state = step.state();
    let repeated: Vec<JobIndex> = state
        .latest()
        .filter(|(_, job)| !job.is_bridge() && job.status != Success && is_retryable(job))
        .map(|(index, _)| index)
        .collect();
    let skipped: Vec<JobIndex> = state.jobs.skipped_from(0).collect();
    for job in repeated {
        repeat(step, job, false);
    }
    for job in skipped {
        step.transition(job, Created);
    }
    step.effect(Effect::RestartUpstream);
}

/// Adds the next attempt of a job; only one row of a name is ever the newest.
pub(crate) fn repeat(step: &mut Step<'_>, job: JobIndex, enqueue_immediately: bool) {
    let now = step.now();
    step.edit(job, |old| old.retried = true);
    let row = JobState {
        status: Created,
        retried: false,
        retry_of: Some(job),
        enqueue_immediately,
        cancel_gracefully: false,
        failure_reason: None,
        exit_code: None,
        timeout: None,
        scheduled_at: None,
        created_at: now,
        queued_at: None,
        started_at: None,
        finished_at: None,
        updated_at: now,
        erased_at: None,
        ..step.state().job(job).clone()
    };
    step.append(row);
}

/// Whether a job that has just failed is to be retried by itself.
pub(crate) fn is_automatic(state: &PipelineState, job: &JobState) -> bool {
    if !job.is_build() || job.retried {
        return false;
    }
    let reason = job.failure_reason.unwrap_or(FailureReason::UnknownFailure);
    let allowed = allowed_retries(job.retry.as_ref(), reason, job.exit_code);
    let attempts = successors(job.retry_of, |earlier| state.job(*earlier).retry_of);
    attempts.take(usize::from(allowed)).count() < usize::from(allowed)
}

fn allowed_retries(retry: Option<&Retry>, reason: FailureReason, exit_code: Option<i32>) -> u8 {
    if matches!(
        reason,
        CiQuotaExceeded
            | NoMatchingRunner
            | MissingDependencyFailure
            | ForwardDeploymentFailure
            | EnvironmentCreationFailure
    ) {
        return 0;
    }
    match retry {
        Some(retry) if matches(retry, reason, exit_code) => retry.max,
        _ if matches!(reason, SchedulerFailure | RunnerProvisioningTimeout) => limits::SCHEDULER_RETRIES,
        _ => 0,
    }
}

fn matches(retry: &Retry, reason: FailureReason, exit_code: Option<i32>) -> bool {
    let by_code = exit_code.is_some_and(|code| retry.exit_codes.contains(&code));
    let by_default = retry.when.is_empty() && retry.exit_codes.is_empty();
    by_code
        || by_default
        || retry.when.iter().any(|when| match *when {
            RetryWhen::Always => true,
            RetryWhen::Reason(named) => named == reason || alias(reason) == Some(named),
        })
}

/// The older, broader name of a reason.
const fn alias(reason: FailureReason) -> Option<FailureReason> {
    match reason {
        StuckPendingWithMatchingRunners
        | StuckPendingNoMatchingRunners
        | NoUpdatesRunning
        | NoUpdatesCanceling => Some(StuckOrTimeoutFailure),
        ServerTimeoutRunning | ServerTimeoutCanceling => Some(JobExecutionTimeout),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use FailureReason::{ApiFailure, ScriptFailure, UnknownFailure};

    fn retry(max: u8, when: &[FailureReason], exit_codes: &[i32]) -> Retry {
        Retry {
            max,
            when: when.iter().map(|&reason| RetryWhen::Reason(reason)).collect(),
            exit_codes: exit_codes.to_vec(),
        }
    }

    #[test]
    fn each_reason_is_retried_as_often_as_its_rule_says() {
        let always = Retry { max: 1, when: vec![RetryWhen::Always], exit_codes: vec![] };
        for &reason in FailureReason::ALL {
            let (never, by_itself) = match reason {
                CiQuotaExceeded
                | NoMatchingRunner
                | MissingDependencyFailure
                | ForwardDeploymentFailure
                | EnvironmentCreationFailure => (true, 0),
                SchedulerFailure | RunnerProvisioningTimeout => (false, 2),
                _ => (false, 0),
            };
            let older_name = match reason {
                StuckPendingWithMatchingRunners
                | StuckPendingNoMatchingRunners
                | NoUpdatesRunning
                | NoUpdatesCanceling => Some(StuckOrTimeoutFailure),
                ServerTimeoutRunning | ServerTimeoutCanceling => Some(JobExecutionTimeout),
                _ => None,
            };
            let once = u8::from(!never);
            let allowed = |rule: Option<&Retry>| allowed_retries(rule, reason, Some(137));
            assert_eq!(allowed(None), by_itself, "{reason} without a rule");
            assert_eq!(allowed(Some(&always)), once, "{reason}, always");
            assert_eq!(allowed(Some(&retry(1, &[], &[]))), once, "{reason}, by default");
            assert_eq!(allowed(Some(&retry(1, &[], &[137]))), once, "{reason}, by its exit code");
            assert_eq!(allowed(Some(&retry(1, &[], &[1]))), by_itself, "{reason}, by another exit code");
            for &named in FailureReason::ALL {
                let expected = if named == reason || older_name == Some(named) { once } else { by_itself };
                assert_eq!(allowed(Some(&retry(1, &[named], &[]))), expected, "{reason}, `when: {named}`");
            }
        }
    }

    #[test]
    fn the_number_of_automatic_retries_follows_reason_and_exit_code() {
        let always = Retry { max: 2, when: vec![RetryWhen::Always], exit_codes: vec![] };
        for (rule, reason, code, allowed) in [
            (None, ScriptFailure, Some(1), 0),
            (None, SchedulerFailure, None, 2),
            (None, RunnerProvisioningTimeout, None, 2),
            (Some(retry(0, &[SchedulerFailure], &[])), SchedulerFailure, None, 0),
            (Some(retry(1, &[ScriptFailure], &[])), SchedulerFailure, None, 2),
            (Some(always.clone()), ScriptFailure, Some(1), 2),
            (Some(always.clone()), UnknownFailure, None, 2),
            (Some(always.clone()), CiQuotaExceeded, None, 0),
            (Some(always.clone()), NoMatchingRunner, None, 0),
            (Some(always.clone()), MissingDependencyFailure, None, 0),
            (Some(always.clone()), ForwardDeploymentFailure, None, 0),
            (Some(always), EnvironmentCreationFailure, None, 0),
            (Some(retry(2, &[], &[])), ScriptFailure, None, 2),
            (Some(retry(2, &[ScriptFailure], &[])), ApiFailure, None, 0),
            (Some(retry(2, &[], &[137])), ScriptFailure, Some(137), 2),
            (Some(retry(2, &[], &[137])), ScriptFailure, Some(1), 0),
            (Some(retry(2, &[ApiFailure], &[137])), ScriptFailure, Some(137), 2),
            (Some(retry(2, &[ApiFailure], &[137])), ApiFailure, None, 2),
            (Some(retry(2, &[StuckOrTimeoutFailure], &[])), NoUpdatesRunning, None, 2),
            (Some(retry(2, &[StuckOrTimeoutFailure], &[])), NoUpdatesCanceling, None, 2),
            (Some(retry(2, &[StuckOrTimeoutFailure], &[])), StuckPendingNoMatchingRunners, None, 2),
            (Some(retry(2, &[StuckOrTimeoutFailure], &[])), StuckPendingWithMatchingRunners, None, 2),
            (Some(retry(2, &[JobExecutionTimeout], &[])), ServerTimeoutRunning, None, 2),
            (Some(retry(2, &[JobExecutionTimeout], &[])), ServerTimeoutCanceling, None, 2),
            (Some(retry(2, &[JobExecutionTimeout], &[])), JobExecutionTimeout, None, 2),
            (Some(retry(2, &[NoUpdatesRunning], &[])), StuckOrTimeoutFailure, None, 0),
        ] {
            assert_eq!(allowed_retries(rule.as_ref(), reason, code), allowed, "{rule:?} {reason} {code:?}");
        }
    }
}
