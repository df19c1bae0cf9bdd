//! The one way in which the server changes a pipeline, and who hears of it.

use weir_api::id::{JobId, PipelineId, ProjectId};
use weir_api::{FailureReason, JobStatus, Timestamp};
use weir_engine::{Changes, Effect, Event, JobIndex, Outcome, PipelineState, Refused};
use weir_store::pipelines::{self, Transition};
use weir_store::{Tx, artifacts, projects};

use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// Applies an event, and fails the bridges that it starts: downstream pipelines are not created yet.
pub fn apply(state: &mut PipelineState, event: Event, now: Timestamp) -> Result<Changes, Refused> {
    let mut changes = weir_engine::apply(state, event, now)?;
    let mut next = 0;
    while let Some(effect) = changes.effects.get(next) {
        next += 1;
        if let Effect::TriggerDownstream(job) = *effect {
            let reason = FailureReason::DownstreamPipelineCreationFailed;
            let outcome = Outcome::Failed { reason, exit_code: None };
            join(&mut changes, weir_engine::apply(state, Event::Finished { job, outcome }, now)?);
        }
    }
    Ok(changes)
}

/// Adds later changes to earlier ones.
fn join(first: &mut Changes, second: Changes) {
    first.jobs.extend(second.jobs);
    first.jobs.sort_unstable();
    first.jobs.dedup();
    first.stages.extend(second.stages);
    first.stages.sort_unstable();
    first.stages.dedup();
    first.pipeline |= second.pipeline;
    first.effects.extend(second.effects);
}

/// A job's place: its pipeline and its index there.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The pipeline.
    pub pipeline: PipelineId,
    /// The job in it.
    pub index: JobIndex,
}

/// Applies an event to the pipeline in this transaction. `refused` says what a refusal means to the caller.
pub fn transition(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    pipeline: PipelineId,
    event: Event,
    refused: impl FnOnce(Refused) -> Error,
) -> Result<Transition> {
    let now = ctx.now();
    let done = pipelines::transition(tx, &ctx.pipelines, pipeline, now, |state, _| {
        apply(state, event, now).map_err(refused)
    })?
    .ok_or(Error::RecordNotFound)?;
    follow(tx, pipeline, &done)?;
    Ok(done)
}

/// What a transition entails in the same transaction: the artifacts of the newest successful pipeline of a ref stay
/// although they expire, if the project wants that.
pub fn follow(tx: &mut Tx<'_>, pipeline: PipelineId, done: &Transition) -> Result<()> {
    let passed = |effect: &Effect| matches!(effect, Effect::PipelineStatus { to: JobStatus::Success, .. });
    if !done.changes.effects.iter().any(passed) {
        return Ok(());
    }
    let Some(row) = pipelines::find(tx, pipeline)? else { return Ok(()) };
    let Some(project) = projects::find(tx, row.project_id)? else { return Ok(()) };
    if project.settings.keep_latest_artifact {
        artifacts::lock_latest(tx, project.id, &row.ref_name, row.tag, pipeline)?;
    }
    Ok(())
}

/// Tells whoever waits what a committed transition changed.
pub fn announce(ctx: &Ctx, project: ProjectId, pipeline: PipelineId, transition: &Transition) {
    for effect in &transition.changes.effects {
        match effect {
            Effect::JobStatus { job, to, .. } => {
                if let Some(id) = transition.id(*job) {
                    ctx.bus.wake(Wake::Job(id));
                }
                if matches!(to, JobStatus::Success | JobStatus::Failed | JobStatus::Canceled) {
                    ctx.metrics.jobs_finished.get_or_create(&(*to).into()).inc();
                    ctx.bus.wake(Wake::TraceEnded);
                }
            }
            Effect::PipelineStatus { .. } => ctx.bus.wake(Wake::Pipeline(project, pipeline)),
            Effect::Enqueue(_) | Effect::Dequeue(_) => {}
            Effect::Schedule(..) => ctx.bus.wake(Wake::Delayed),
            Effect::EraseData(_) => ctx.bus.wake(Wake::Background),
            Effect::TriggerDownstream(_) => {}
        }
    }
    if transition.changes.effects.iter().any(|effect| matches!(effect, Effect::Enqueue(_))) {
        ctx.bus.wake(Wake::Queue);
    }
}

/// The id of a job of a transition, which it must know.
pub fn id_of(transition: &Transition, index: JobIndex) -> Result<JobId> {
    transition.id(index).ok_or_else(|| Error::internal("a transition does not know one of its jobs"))
}
