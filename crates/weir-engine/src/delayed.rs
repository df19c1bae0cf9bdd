//! Delayed jobs: `when: delayed` with `start_in`.
//!
//! Sources: `app/services/ci/run_scheduled_build_service.rb`, `app/services/ci/build_unschedule_service.rb`.

use weir_api::JobStatus;

use crate::effect::Effect;
use crate::event::Refused;
use crate::resource_group;
use crate::state::JobIndex;
use crate::step::Step;

/// A job's turn has come: it waits for `start_in` more seconds.
pub(crate) fn schedule(step: &mut Step<'_>, job: JobIndex, start_in: u64) {
    let due = step.now().plus_secs(i64::try_from(start_in).unwrap_or(i64::MAX));
    step.transition(job, JobStatus::Scheduled);
    step.edit(job, |row| row.scheduled_at = Some(due));
    step.effect(Effect::Schedule(job, due));
}

/// The delay has passed.
pub(crate) fn due(step: &mut Step<'_>, job: JobIndex) -> Result<(), Refused> {
    let row = step.find(job)?;
    if row.status != JobStatus::Scheduled {
        return Err(Refused::Status(row.status));
    }
    if row.scheduled_at.is_some_and(|at| at > step.now()) {
        return Err(Refused::NotDue);
    }
    resource_group::enqueue(step, job);
    Ok(())
}

/// Someone wants the job to wait for a person instead.
pub(crate) fn unschedule(step: &mut Step<'_>, job: JobIndex) -> Result<(), Refused> {
    let row = step.find(job)?;
    if row.status != JobStatus::Scheduled {
        return Err(Refused::Status(row.status));
    }
    step.transition(job, JobStatus::Manual);
    Ok(())
}
