//! Bridges: a job that starts another pipeline and may follow it.
//!
//! Sources: `app/models/ci/bridge.rb`, `app/services/ci/pipeline_bridge_status_service.rb`.

use weir_api::JobStatus::{
    self, Canceled, Failed, Manual, Pending, Running, Skipped, Success, WaitingForResource,
};
use weir_compiler::plan::Strategy;

use crate::event::Refused;
use crate::manual;
use crate::resource_group;
use crate::state::JobIndex;
use crate::step::Step;

/// The downstream pipeline exists: the bridge follows it, or is done.
pub(crate) fn created(step: &mut Step<'_>, job: JobIndex, strategy: Option<Strategy>) -> Result<(), Refused> {
    let row = step.find(job)?;
    if !row.is_bridge() || row.status != Pending {
        return Err(Refused::Status(row.status));
    }
    step.transition(job, Running);
    if strategy.is_none() {
        step.transition(job, Success);
    }
    Ok(())
}

/// The downstream pipeline has a new status. A bridge follows from wherever it is: its downstream may be
/// retried after its end.
pub(crate) fn changed(
    step: &mut Step<'_>,
    job: JobIndex,
    downstream: JobStatus,
    strategy: Strategy,
) -> Result<(), Refused> {
    let row = step.find(job)?;
    if !row.is_bridge() {
        return Err(Refused::Status(row.status));
    }
    let to = match (downstream, strategy) {
        (Skipped, Strategy::Depend) => Failed,
        (Success | Failed | Canceled, _) | (Skipped | Manual, Strategy::Mirror) => downstream,
        _ => return Ok(()),
    };
    step.transition(job, to);
    Ok(())
}

/// Something in the downstream pipeline runs again: the bridge waits for it anew, wherever it was, with its resource
/// if it has a group, and the jobs that were skipped because of it wait too. The downstream pipeline stays the same.
///
/// Source: `Ci::Pipeline#reset_source_bridge!`.
pub(crate) fn restarted(step: &mut Step<'_>, job: JobIndex) -> Result<(), Refused> {
    let row = step.find(job)?;
    if !row.is_bridge() || row.retried {
        return Err(Refused::Status(row.status));
    }
    if !matches!(row.status, Pending | WaitingForResource) {
        resource_group::enqueue(step, job);
        manual::reset_skipped_dependents(step, job);
    }
    Ok(())
}
