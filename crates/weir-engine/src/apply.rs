//! The one way to change a pipeline.

use weir_api::JobStatus::{Canceled, Canceling, Created, Failed, Pending, Preparing, Running, Success};
use weir_api::{FailureReason, JobStatus, Timestamp};

use crate::effect::{Changes, Effect};
use crate::event::{Event, Outcome, Refused};
use crate::state::{JobIndex, JobState, PipelineState};
use crate::step::Step;
use crate::{cancel, delayed, downstream, limits, manual, rerun, resource_group, retry, status, timeout};

/// Applies one event, and decides every job that it makes decidable.
///
/// # Errors
/// The event does not fit; the state is as before.
pub fn apply(state: &mut PipelineState, event: Event, now: Timestamp) -> Result<Changes, Refused> {
    let mut step = Step::new(state, now);
    match event {
        Event::Created => step.decide(),
        Event::Picked { job, timeout, cancel_gracefully } => {
            pick(&mut step, job, timeout, cancel_gracefully)?;
        }
        Event::Finished { job, outcome } => finish(&mut step, job, outcome)?,
        Event::Alive { job } => alive(&mut step, job)?,
        Event::Cancel { job, force } => cancel::cancel(&mut step, job, force)?,
        Event::CancelPipeline { cascade } => cancel::cancel_pipeline(&mut step, cascade),
        Event::DropPipeline { reason } => cancel::drop_pipeline(&mut step, reason),
        Event::CancelInterruptible => cancel::cancel_interruptible(&mut step),
        Event::Retry { job } => retry::retry(&mut step, job)?,
        Event::RetryPipeline => retry::retry_pipeline(&mut step),
        Event::Rerun { scope } => rerun::rerun(&mut step, scope)?,
        Event::Play { job } => manual::play(&mut step, job)?,
        Event::Unschedule { job } => delayed::unschedule(&mut step, job)?,
        Event::Due { job } => delayed::due(&mut step, job)?,
        Event::ResourceGranted { job } => resource_group::granted(&mut step, job)?,
        Event::Erase { job } => erase(&mut step, job)?,
        Event::Enqueue { job } => manual::enqueue(&mut step, job)?,
        Event::DownstreamCreated { job, strategy } => downstream::created(&mut step, job, strategy)?,
        Event::DownstreamRestarted { job } => downstream::restarted(&mut step, job)?,
        Event::DownstreamStatus { job, status, strategy } => {
            downstream::changed(&mut step, job, status, strategy)?;
        }
    }
    Ok(step.finish())
}

/// A runner takes a job.
fn pick(step: &mut Step<'_>, job: JobIndex, timeout: u64, cancel_gracefully: bool) -> Result<(), Refused> {
    let row = step.find(job)?;
    if !row.is_build() || row.status != Pending {
        return Err(Refused::Status(row.status));
    }
    step.edit(job, |row| {
        row.timeout = Some(timeout);
        row.cancel_gracefully = cancel_gracefully;
    });
    step.transition(job, Running);
    Ok(())
}

/// A job ends by itself, by its runner's word or by a deadline.
fn finish(step: &mut Step<'_>, job: JobIndex, outcome: Outcome) -> Result<(), Refused> {
    let row = step.find(job)?;
    let to = match (row.status, outcome) {
        // The runner's verdict on a canceled job does not count.
        (Canceling, _) => Canceled,
        (_, Outcome::Success) if row.is_bridge() || is_unfinished(row.status) => Success,
        (_, Outcome::Failed { .. })
            if row.is_bridge() || is_unfinished(row.status) || status::is_blocked(row.status) =>
        {
            Failed
        }
        (current, _) => return Err(Refused::Status(current)),
    };
    if row.status == to {
        return Ok(());
    }
    if let Outcome::Failed { reason, exit_code } = outcome {
        step.edit(job, |row| record_failure(row, to, reason, exit_code));
    }
    step.transition(job, to);
    if to == Failed {
        after_failure(step, job);
    }
    Ok(())
}

/// Whether a verdict may come: a job need not have run to be finished.
const fn is_unfinished(current: JobStatus) -> bool {
    status::is_active(current) || matches!(current, Created | Preparing)
}

fn record_failure(row: &mut JobState, to: JobStatus, reason: FailureReason, exit_code: Option<i32>) {
    row.failure_reason = Some(reason);
    row.exit_code = exit_code.map(|code| code.clamp(0, limits::EXIT_CODE));
    if to == Failed && exit_code.is_some_and(|code| row.allow_failure_exit_codes.contains(&code)) {
        row.allow_failure = true;
    }
}

/// A failed job is retried or, if it must not fail, may take its pipeline with it. The next attempt must exist
/// before other jobs are decided: jobs with `when: on_failure` would run otherwise.
fn after_failure(step: &mut Step<'_>, job: JobIndex) {
    let state = step.state();
    let row = state.job(job);
    if retry::is_automatic(state, row) {
        retry::retry_one(step, job);
    } else if state.cancel_on_job_failure && !row.allow_failure && !row.retried {
        cancel::cancel_pipeline(step, true);
    }
}

/// The runner gives a sign of life. Rows that were written lately are left alone.
fn alive(step: &mut Step<'_>, job: JobIndex) -> Result<(), Refused> {
    let row = step.find(job)?;
    if !status::is_executing(row.status) {
        return Err(Refused::Status(row.status));
    }
    let now = step.now();
    if row.updated_at.plus_secs(timeout::SIGN_OF_LIFE_SECS) <= now {
        step.edit(job, |row| row.updated_at = now);
    }
    Ok(())
}

/// What a job left behind goes; its status stays. Whether there is anything to erase is for the caller to know.
///
/// Source: `app/services/ci/build_erase_service.rb`.
fn erase(step: &mut Step<'_>, job: JobIndex) -> Result<(), Refused> {
    let row = step.find(job)?;
    if !row.is_build() || row.erased_at.is_some() || !status::is_completed(row.status) {
        return Err(Refused::NotErasable);
    }
    let now = step.now();
    step.edit(job, |row| row.erased_at = Some(now));
    step.effect(Effect::EraseData(job));
    Ok(())
}
