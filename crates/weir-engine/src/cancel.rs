//! Cancellation: of a job, of a pipeline, by hand or because a job failed.
//!
//! Sources: `app/services/ci/build_cancel_service.rb`, `app/services/ci/cancel_pipeline_service.rb`.

use weir_api::FailureReason;
use weir_api::JobStatus::{Canceled, Canceling, Created, Failed, Running};

use crate::effect::Effect;
use crate::event::Refused;
use crate::state::{JobIndex, JobState};
use crate::status;
use crate::step::Step;

/// Cancels one job. With `force`, a job whose runner was asked already does not wait for its answer.
pub(crate) fn cancel(step: &mut Step<'_>, job: JobIndex, force: bool) -> Result<(), Refused> {
    match step.find(job)?.status {
        Canceling if force => step.transition(job, Canceled),
        current if !force && (current == Created || status::is_active(current)) => stop(step, job),
        current => return Err(Refused::Status(current)),
    }
    Ok(())
}

/// Cancels every job that can be, manual and delayed ones included.
pub(crate) fn cancel_pipeline(step: &mut Step<'_>, cascade: bool) {
    for job in cancelable(step, |_| true) {
        stop(step, job);
    }
    if cascade {
        step.effect(Effect::CancelChildren);
    }
}

/// Cancels what may be interrupted, running jobs included.
pub(crate) fn cancel_interruptible(step: &mut Step<'_>) {
    for job in cancelable(step, |job| job.interruptible) {
        stop(step, job);
    }
}

/// Fails every job that could be canceled; nothing is retried.
///
/// Source: `app/services/ci/drop_pipeline_service.rb`.
pub(crate) fn drop_pipeline(step: &mut Step<'_>, reason: FailureReason) {
    for job in cancelable(step, |_| true) {
        step.edit(job, |row| row.failure_reason = Some(reason));
        step.transition(job, Failed);
    }
}

fn cancelable(step: &Step<'_>, of: impl Fn(&JobState) -> bool) -> Vec<JobIndex> {
    let rows = step.state().rows().filter(|(_, job)| status::is_cancelable(job.status) && of(job));
    rows.map(|(index, _)| index).collect()
}

/// Cancels one job that can be; a running one gracefully if its runner can.
fn stop(step: &mut Step<'_>, job: JobIndex) {
    let row = step.state().job(job);
    let to = if row.status == Running && row.cancel_gracefully { Canceling } else { Canceled };
    step.transition(job, to);
}
