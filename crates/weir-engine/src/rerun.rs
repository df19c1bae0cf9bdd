//! A pipeline runs again, or a part of it: in the same pipeline, as new attempts of its jobs.
//!
//! GitLab retries failed jobs only; this goes beyond it.

use std::collections::BTreeSet;

use weir_api::JobStatus::{Canceled, Created, Failed, Manual, Scheduled, Skipped, Success};

use crate::effect::Effect;
use crate::event::Refused;
use crate::state::{JobIndex, JobState, PipelineState};
use crate::step::Step;
use crate::{manual, retry};

/// What of a pipeline runs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every job.
    All,
    /// Every job that failed or was canceled, and what was skipped. A bridge that has a downstream pipeline stays: what
    /// failed there is to run again there.
    Failed,
    /// One job and all that depends on it: by needs, or by waiting for its stage.
    From(JobIndex),
}

/// Whether a bridge that failed has a downstream pipeline in which its failure is.
pub const fn follows_downstream(job: &JobState) -> bool {
    job.is_bridge() && job.started_at.is_some() && matches!(job.status, Failed | Canceled)
}

/// Repeats the jobs that have ended and lets the others wait for their turn again.
///
/// # Errors
/// A job that would be repeated has not ended.
pub(crate) fn rerun(step: &mut Step<'_>, scope: Scope) -> Result<(), Refused> {
    let chosen = chosen(step, scope)?;
    let ended = |job: &JobState| matches!(job.status, Success | Failed | Canceled);
    let waits = |job: &JobState| matches!(job.status, Created | Manual | Scheduled | Skipped);
    let state = step.state();
    if chosen.iter().map(|job| state.job(*job)).any(|job| !ended(job) && !waits(job)) {
        return Err(Refused::StillActive);
    }
    for job in chosen {
        let row = step.state().job(job);
        if ended(row) {
            // Whoever names a manual job wants it to run; others wait for a person again.
            let immediately = scope == Scope::From(job) && manual::is_actionable(row);
            retry::repeat(step, job, immediately);
        } else {
            step.transition(job, Created);
        }
    }
    step.effect(Effect::RestartUpstream);
    Ok(())
}

/// The newest attempts that are to run again, in order.
fn chosen(step: &Step<'_>, scope: Scope) -> Result<Vec<JobIndex>, Refused> {
    let state = step.state();
    let chosen: Vec<JobIndex> = match scope {
        Scope::All => state.latest().map(|(index, _)| index).collect(),
        Scope::Failed => state
            .latest()
            .filter(|(_, job)| matches!(job.status, Failed | Canceled | Skipped) && !follows_downstream(job))
            .map(|(index, _)| index)
            .collect(),
        Scope::From(job) => {
            let row = step.find(job)?;
            if row.status != Skipped && !retry::is_retryable(row) {
                let over = row.retried || row.is_external() || row.status == Failed;
                return Err(if over { Refused::NotRetryable } else { Refused::StillActive });
            }
            with_dependents(state, job)
        }
    };
    // What others report is not ours to run, and some bridges would only fail again.
    let fits = |job: &JobState| !job.is_external() && (job.status != Failed || retry::is_retryable(job));
    Ok(chosen.into_iter().filter(|job| fits(state.job(*job))).collect())
}

/// A job and all that depends on it, directly or not.
fn with_dependents(state: &PipelineState, job: JobIndex) -> Vec<JobIndex> {
    let mut found = BTreeSet::from([job]);
    let mut next = vec![job];
    // Whatever waits for its stage depends on each job of an earlier one: the earliest that was found counts.
    let mut stage = u32::MAX;
    while let Some(job) = next.pop() {
        let mut dependents: Vec<JobIndex> = state.jobs.dependents_of(job).collect();
        let own = state.job(job).stage;
        if own < stage {
            stage = own;
            let later = state.latest().filter(|(_, row)| row.needs.is_none() && row.stage > own);
            dependents.extend(later.map(|(index, _)| index));
        }
        next.extend(dependents.into_iter().filter(|dependent| found.insert(*dependent)));
    }
    found.into_iter().collect()
}
