//! The one way in which the server changes a pipeline, and who hears of it.

use weir_api::id::{JobId, PipelineId, ProjectId, UserId};
use weir_api::{JobStatus, Timestamp};
use weir_engine::{Changes, Effect, Event, JobIndex, PipelineState, Refused, status};
use weir_store::pipelines::{self, Transition};
use weir_store::{Tx, artifacts, deployments, jobs, projects, resource_groups};

use super::environments;
use super::outbox::{self, Task};
use super::webhooks;
use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

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
    transition_by(tx, ctx, pipeline, |state, now| weir_engine::apply(state, event, now).map_err(refused))
}

/// Changes the pipeline in this transaction by `change`, which gets its state and the time.
pub fn transition_by(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    pipeline: PipelineId,
    change: impl FnOnce(&mut PipelineState, Timestamp) -> Result<Changes>,
) -> Result<Transition> {
    let now = ctx.now();
    let mut done = pipelines::transition(tx, &ctx.pipelines, pipeline, now, |state, _| change(state, now))?
        .ok_or(Error::RecordNotFound)?;
    follow(tx, ctx, pipeline, &mut done)?;
    Ok(done)
}

/// What a transition entails in the same transaction, the first one of a new pipeline included. What it means for
/// other pipelines is left in the outbox. Jobs that must not run after all fail right away: `done` then is both.
pub fn follow(tx: &mut Tx<'_>, ctx: &Ctx, pipeline: PipelineId, done: &mut Transition) -> Result<()> {
    let now = ctx.now();
    webhooks::transition(tx, ctx, pipeline, done)?;
    let mut in_groups = Vec::new();
    for effect in &done.changes.effects {
        match *effect {
            Effect::RequestResource(job) | Effect::ReleaseResource(job) => in_groups.push(id_of(done, job)?),
            Effect::TriggerDownstream(job) => {
                outbox::add(tx, &Task::CreateDownstream { bridge: id_of(done, job)? }, now)?;
            }
            Effect::Environment { job, action, status } => {
                environments::follow(tx, ctx, done, job, action, status, now)?;
            }
            Effect::PipelineStatus { to, .. } => {
                if to == JobStatus::Success {
                    keep_latest_artifacts(tx, pipeline)?;
                }
                // The other statuses mean nothing to a bridge.
                if done.upstream.is_some() && (status::is_completed(to) || to == JobStatus::Manual) {
                    outbox::add(tx, &Task::FollowDownstream { pipeline }, now)?;
                }
            }
            Effect::CancelChildren if pipelines::has_children(tx, pipeline)? => {
                outbox::add(tx, &Task::CancelChildren { pipeline }, now)?;
            }
            _ => {}
        }
    }
    for group in resource_groups::of_jobs(tx, &in_groups)? {
        outbox::add(tx, &Task::AssignResource { group }, now)?;
    }
    environments::fail_outdated(tx, ctx, pipeline, done)
}

/// The artifacts of the newest successful pipeline of a ref stay although they expire, if the project wants that.
fn keep_latest_artifacts(tx: &mut Tx<'_>, pipeline: PipelineId) -> Result<()> {
    let Some(row) = pipelines::find(tx, pipeline)? else { return Ok(()) };
    let Some(project) = projects::find(tx, row.project_id)? else { return Ok(()) };
    if project.settings.keep_latest_artifact {
        artifacts::lock_latest(tx, project.id, &row.ref_name, row.tag, pipeline)?;
    }
    Ok(())
}

/// Tells whoever waits what a committed transition changed.
pub fn announce(ctx: &Ctx, project: ProjectId, pipeline: PipelineId, transition: &Transition) {
    if transition.hooked {
        ctx.bus.wake(Wake::Webhooks);
    }
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
            Effect::PipelineStatus { to, .. } => {
                if status::is_finished(*to) {
                    ctx.metrics.pipelines_finished.get_or_create(&(*to).into()).inc();
                }
                if transition.upstream.is_some() {
                    ctx.bus.wake(Wake::Outbox);
                }
            }
            Effect::Enqueue(_) | Effect::Dequeue(_) => {}
            Effect::Schedule(..) => ctx.bus.wake(Wake::Delayed),
            Effect::EraseData(_) => ctx.bus.wake(Wake::Background),
            Effect::Environment { .. } => ctx.bus.wake(Wake::Environment),
            Effect::TriggerDownstream(_)
            | Effect::RestartUpstream
            | Effect::CancelChildren
            | Effect::RequestResource(_)
            | Effect::ReleaseResource(_) => ctx.bus.wake(Wake::Outbox),
        }
    }
    let has = |wanted: fn(&Effect) -> bool| transition.changes.effects.iter().any(wanted);
    if has(|effect| matches!(effect, Effect::JobStatus { .. } | Effect::PipelineStatus { .. })) {
        ctx.bus.wake(Wake::Pipeline(project, pipeline));
    }
    if has(|effect| matches!(effect, Effect::Enqueue(_))) {
        ctx.bus.wake(Wake::Queue);
    }
}

/// Sets for whom jobs run, and who deploys with them.
pub fn set_user(tx: &mut Tx<'_>, ids: &[JobId], user: UserId) -> Result<()> {
    jobs::set_user(tx, ids, user)?;
    Ok(deployments::set_user(tx, ids, user)?)
}

/// What a transition that somebody asked for entails in the same transaction: what it makes runs for them, and the
/// bridge above the pipeline goes on as far as they may. Returns the jobs that are theirs now.
pub fn on_behalf(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    pipeline: PipelineId,
    done: &Transition,
    user: UserId,
) -> Result<Vec<JobId>> {
    if done.upstream.is_some() && done.changes.effects.contains(&Effect::RestartUpstream) {
        outbox::add(tx, &Task::RestartUpstream { pipeline, user }, ctx.now())?;
    }
    let renewed = renewed(tx, ctx, done)?;
    set_user(tx, &renewed, user)?;
    Ok(renewed)
}

/// The jobs that a transition made or lets wait for their turn again: they run for whoever asked for it.
/// Source: `app/services/ci/clone_job_service.rb`, `app/services/ci/reset_skipped_jobs_service.rb`.
fn renewed(tx: &mut Tx<'_>, ctx: &Ctx, done: &Transition) -> Result<Vec<JobId>> {
    let now = ctx.now();
    let mut renewed = Vec::new();
    for effect in &done.changes.effects {
        if let Effect::JobStatus { job, to: JobStatus::Created, .. } = effect {
            renewed.push(id_of(done, *job)?);
        }
    }
    let changed = done.changes.jobs.iter().map(|index| id_of(done, *index)).collect::<Result<Vec<_>>>()?;
    let made = |job: &jobs::Job| job.retry_of.is_some() && !job.retried && job.created_at == now;
    renewed.extend(jobs::find_all(tx, &changed)?.iter().filter(|job| made(job)).map(|job| job.id));
    renewed.sort_unstable();
    renewed.dedup();
    Ok(renewed)
}

/// The id of a job of a transition, which it must know.
pub fn id_of(transition: &Transition, index: JobIndex) -> Result<JobId> {
    transition.id(index).ok_or_else(|| Error::internal("a transition does not know one of its jobs"))
}
