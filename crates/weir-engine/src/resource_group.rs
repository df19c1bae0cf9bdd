//! Resource groups: jobs of one group, over all pipelines of a project, run one at a time.
//!
//! A pipeline's state does not know who holds the resource: a job of a group asks for it
//! ([`Effect::RequestResource`]), and goes on when it is given ([`crate::Event::ResourceGranted`]).
//!
//! Source: `app/models/ci/resource_group.rb`.

use weir_api::JobStatus::{Pending, WaitingForResource};

use crate::effect::Effect;
use crate::event::Refused;
use crate::state::JobIndex;
use crate::step::Step;

/// Lets a job wait for its runner; one of a group waits for the resource first.
pub(crate) fn enqueue(step: &mut Step<'_>, job: JobIndex) {
    if step.state().job(job).resource_group.is_some() {
        step.transition(job, WaitingForResource);
        step.effect(Effect::RequestResource(job));
    } else {
        step.transition(job, Pending);
    }
}

/// The job has the resource.
pub(crate) fn granted(step: &mut Step<'_>, job: JobIndex) -> Result<(), Refused> {
    let row = step.find(job)?;
    if row.status != WaitingForResource {
        return Err(Refused::Status(row.status));
    }
    step.transition(job, Pending);
    Ok(())
}
