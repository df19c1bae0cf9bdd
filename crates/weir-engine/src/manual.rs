//! Jobs that a person starts, and the skipped jobs that get another chance with them.
//!
//! Sources: `app/services/ci/play_build_service.rb`, `app/services/ci/enqueue_job_service.rb`,
//! `app/services/ci/reset_skipped_jobs_service.rb`.

use std::collections::BTreeSet;

use weir_api::JobStatus::{Created, Manual, Scheduled, Skipped};
use weir_compiler::plan::When;

use crate::effect::Effect;
use crate::event::Refused;
use crate::state::{JobIndex, JobState};
use crate::step::Step;
use crate::{resource_group, retry};

/// Whether the job is one that a person starts.
pub(crate) const fn is_actionable(job: &JobState) -> bool {
    matches!(job.when, When::Manual | When::Delayed)
}

/// Whether [`crate::Event::Play`] is allowed.
pub fn is_playable(job: &JobState) -> bool {
    if job.is_bridge() {
        // One that mirrors a manual pipeline is not itself to be played.
        return job.when == When::Manual && job.status == Manual;
    }
    is_actionable(job)
        && job.is_build()
        && (matches!(job.status, Manual | Scheduled) || retry::is_retryable(job))
}

/// Starts a manual or delayed job; one that has ended is retried.
pub(crate) fn play(step: &mut Step<'_>, job: JobIndex) -> Result<(), Refused> {
    let row = step.find(job)?;
    if !is_playable(row) {
        return Err(Refused::NotPlayable);
    }
    if matches!(row.status, Manual | Scheduled) {
        resource_group::enqueue(step, job);
        reset_skipped_dependents(step, job);
    } else {
        retry::retry_one(step, job);
    }
    Ok(())
}

/// The bare transition.
pub(crate) fn enqueue(step: &mut Step<'_>, job: JobIndex) -> Result<(), Refused> {
    match step.find(job)?.status {
        Created | Skipped | Manual | Scheduled => resource_group::enqueue(step, job),
        status => return Err(Refused::Status(status)),
    }
    Ok(())
}

/// Skipped jobs that depend on `job`, by needs in its own stage or by coming in a later one, are created again
/// and wait for their turn.
pub(crate) fn reset_skipped_dependents(step: &mut Step<'_>, job: JobIndex) {
    let state = step.state();
    let stage = state.job(job).stage;
    let mut dependents = BTreeSet::from([job]);
    let mut next = vec![job];
    while let Some(job) = next.pop() {
        for dependent in state.jobs.dependents_of(job) {
            if state.job(dependent).stage == stage && dependents.insert(dependent) {
                next.push(dependent);
            }
        }
    }
    let mut skipped: Vec<JobIndex> =
        dependents.into_iter().filter(|job| state.job(*job).status == Skipped).collect();
    skipped.extend(state.jobs.skipped_from(stage.saturating_add(1)));
    for index in skipped {
        step.transition(index, Created);
    }
    step.effect(Effect::RestartUpstream);
}
