//! Cancellation: of a job, of a pipeline, by hand or because a job failed.
//!
//! Sources: `app/services/ci/build_cancel_service.rb`, `app/services/ci/cancel_pipeline_service.rb`.

use weir_api::JobStatus::{Canceled, Canceling, Created, Running};

use crate::event::Refused;
use crate::state::JobIndex;
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
pub(crate) fn cancel_pipeline(step: &mut Step<'_>) {
    let jobs: Vec<JobIndex> = step
        .state()
        .rows()
        .filter(|(_, job)| status::is_cancelable(job.status))
        .map(|(index, _)| index)
        .collect();
    for job in jobs {
        stop(step, job);
    }
}

/// Cancels one job that can be; a running one gracefully if its runner can.
pub(crate) fn stop(step: &mut Step<'_>, job: JobIndex) {
    let row = step.state().job(job);
    let to = if row.status == Running && row.cancel_gracefully { Canceling } else { Canceled };
    step.transition(job, to);
}
