//! Environments are stopped: by their stop jobs or at once.
//!
//! Sources: `app/services/environments/{stop,stop_stale}_service.rb`, `Environment#stop_with_actions!`,
//! `app/policies/environment_policy.rb`.

use weir_api::environments::{AutoStopSetting, EnvironmentState};
use weir_api::id::{EnvironmentId, PipelineId, ProjectId, UserId};
use weir_api::{JobStatus, Timestamp};
use weir_compiler::plan::When;
use weir_engine::Event;
use weir_engine::trust::Act;
use weir_store::environments::{self, Environment};
use weir_store::jobs::{self, Job};
use weir_store::pipelines::{self, Transition};
use weir_store::{Tx, deployments, projects, users};

use super::{lifecycle, row};
use crate::app::access::{self, Access};
use crate::app::{changes, trust};
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// Environments looked at together.
const BATCH: i64 = 100;

/// The jobs that stop an environment: the manual ones of the pipeline that last deployed to it.
fn stop_jobs(tx: &mut Tx<'_>, environment: EnvironmentId) -> Result<Vec<Job>> {
    let Some(pipeline) = deployments::last_finished_pipeline(tx, environment)? else {
        return Ok(Vec::new());
    };
    let names = deployments::stop_jobs(tx, environment, pipeline)?;
    let mut found = Vec::new();
    for job in jobs::named(tx, pipeline, &names)? {
        let playable = matches!(
            job.status,
            JobStatus::Manual
                | JobStatus::Success
                | JobStatus::Failed
                | JobStatus::Canceled
                | JobStatus::Skipped
        );
        if playable && jobs::definition(tx, &job)?.when == When::Manual {
            found.push(job);
        }
    }
    found.sort_unstable_by_key(|job| job.id);
    Ok(found)
}

/// Stops an available environment: its stop jobs run, or nothing runs there any more. What changed in which pipeline.
///
/// # Errors
/// 403 if the stop jobs may not run: then the environment stays as it is.
fn stop_in(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    environment: &Environment,
    actions: &[Job],
) -> Result<Vec<(PipelineId, Transition)>> {
    if environment.state != EnvironmentState::Available {
        return Ok(Vec::new());
    }
    if actions.is_empty() {
        if environment.auto_stop_setting == AutoStopSetting::Always {
            lifecycle::stop_at_once(tx, environment.id, ctx.now())?;
        }
        return Ok(Vec::new());
    }
    let mut changed = Vec::new();
    let mut allowed = false;
    for job in actions {
        // It runs for whoever it ran for before.
        let Some(user) = job.user_id else { continue };
        if !trust::lets_user(tx, Some(user), job.pipeline_id, Act::Play, ctx.now())? {
            continue;
        }
        allowed = true;
        let event = Event::Play { job: job.index };
        match changes::transition(tx, ctx, job.pipeline_id, event, |_| Error::RecordNotFound) {
            Ok(done) => {
                changes::on_behalf(tx, ctx, job.pipeline_id, &done, user)?;
                changed.push((job.pipeline_id, done));
            }
            // It runs already.
            Err(Error::RecordNotFound) => {}
            Err(error) => return Err(error),
        }
    }
    if !allowed {
        return Err(Error::Forbidden(None));
    }
    if let Some(before) = environments::lock(tx, environment.id)? {
        let state = EnvironmentState::Stopping;
        environments::update(tx, &Environment { state, updated_at: ctx.now(), ..before })?;
    }
    Ok(changed)
}

/// Whether the caller may stop the environment: may change environments, and run its stop job if it has one.
fn may_stop(tx: &mut Tx<'_>, access: &Access, actions: &[Job]) -> Result<bool> {
    if !access.standing.may(Action::UpdateEnvironment) {
        return Ok(false);
    }
    let Some(last) = actions.last() else { return Ok(true) };
    let Some(pipeline) = pipelines::find(tx, last.pipeline_id)? else { return Ok(true) };
    Ok(trust::ask_pipeline(tx, access, &pipeline, Act::Play)?.is_ok() && !lifecycle::is_outdated(tx, last)?)
}

/// Stops an environment, by its stop job unless `force`.
///
/// # Errors
/// 403 if the caller may not run the stop job.
pub async fn stop(ctx: &Ctx, access: &Access, id: EnvironmentId, force: bool) -> Result<Environment> {
    let (shared, access) = (ctx.clone(), access.clone());
    let project = access.project.id;
    let (stopped, changed) = ctx
        .db
        .write(move |tx| {
            let environment = row(tx, project, id)?;
            let available = environment.state == EnvironmentState::Available;
            let actions = if available { stop_jobs(tx, id)? } else { Vec::new() };
            if !may_stop(tx, &access, &actions)? {
                return Err(Error::Forbidden(None));
            }
            let changed = if force {
                lifecycle::stop_at_once(tx, id, shared.now())?;
                Vec::new()
            } else {
                stop_in(tx, &shared, &environment, &actions)?
            };
            Ok((row(tx, project, id)?, changed))
        })
        .await?;
    announce(ctx, project, &changed);
    Ok(stopped)
}

fn announce(ctx: &Ctx, project: ProjectId, changed: &[(PipelineId, Transition)]) {
    for (pipeline, done) in changed {
        changes::announce(ctx, project, *pipeline, done);
    }
}

/// Stops one environment whoever asks; its stop jobs still run only if those for whom they run may run them.
async fn stop_unasked(ctx: &Ctx, id: EnvironmentId) -> Result<()> {
    let shared = ctx.clone();
    let done = ctx
        .db
        .write(move |tx| {
            let Some(environment) = environments::find(tx, id)? else { return Ok(None) };
            let actions = stop_jobs(tx, id)?;
            let changed = match stop_in(tx, &shared, &environment, &actions) {
                Err(Error::Forbidden(_)) => return Ok(None),
                other => other?,
            };
            Ok::<_, Error>(Some((environment.project_id, changed)))
        })
        .await?;
    if let Some((project, changed)) = done {
        announce(ctx, project, &changed);
    }
    Ok(())
}

/// Stops the environments that nothing has happened to since `before`.
pub async fn stop_stale(ctx: &Ctx, access: &Access, before: Timestamp) -> Result<()> {
    let project = access.project.id;
    for environment in ctx.db.read(move |tx| environments::stale(tx, project, before)).await? {
        stop_unasked(ctx, environment.id).await?;
    }
    Ok(())
}

/// A branch is gone: the environments to which it was last deployed are stopped, as far as whoever deleted it may.
pub async fn stop_of_branch(ctx: &Ctx, project: ProjectId, branch: &str, user: UserId) -> Result<()> {
    let (now, name) = (ctx.now(), branch.to_owned());
    let found = ctx
        .db
        .read(move |tx| {
            let Some(project) = projects::find(tx, project)? else { return Ok(None) };
            let Some(user) = users::find(tx, user)? else { return Ok(None) };
            let standing = access::standing(tx, Some(&user), &project, now)?;
            let environments = environments::last_deployed_from(tx, project.id, &name)?;
            Ok::<_, Error>(Some((Access { project, standing }, environments)))
        })
        .await?;
    let Some((access, environments)) = found else { return Ok(()) };
    for environment in environments {
        match stop(ctx, &access, environment.id, false).await {
            Ok(_) | Err(Error::Forbidden(_) | Error::RecordNotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Stops the environments whose end has come, and deletes those that were to be deleted by now. Returns when the next
/// one is due.
pub async fn sweep(ctx: &Ctx) -> Result<Option<Timestamp>> {
    let now = ctx.now();
    let mut after = EnvironmentId(0);
    loop {
        let due = ctx.db.read(move |tx| environments::to_be_stopped(tx, now, after, BATCH)).await?;
        let Some(last) = due.last() else { break };
        after = *last;
        for id in due {
            stop_unasked(ctx, id).await?;
        }
    }
    loop {
        let due = ctx.db.read(move |tx| environments::to_be_deleted(tx, now, BATCH)).await?;
        if due.is_empty() {
            break;
        }
        ctx.db.write(move |tx| due.iter().try_for_each(|id| environments::delete(tx, *id).map(drop))).await?;
    }
    Ok(ctx.db.read(move |tx| environments::next_due(tx, now)).await?)
}
