//! What jobs do to environments, in the transaction in which they do it.
//!
//! Sources: `app/services/environments/create_for_job_service.rb`,
//! `app/services/deployments/{create_for_job,update_environment}_service.rb`,
//! `app/services/environments/recalculate_auto_stop_service.rb`.

use std::collections::HashMap;

use weir_api::environments::{
    AutoStopSetting, DeploymentStatus, EnvironmentAction, EnvironmentState, EnvironmentTier,
};
use weir_api::id::{EnvironmentId, JobId, PipelineId, ProjectId};
use weir_api::{FailureReason, JobStatus, Timestamp};
use weir_compiler::plan;
use weir_compiler::vars::{References, Variable, expand};
use weir_engine::environment::{self as rules, AtSuccess, AutoStop, Deployed, Forward};
use weir_engine::{Effect, Event, JobIndex, Outcome};
use weir_store::deployments::{self, Deployment, NewDeployment};
use weir_store::environments::{self, Environment, NewEnvironment};
use weir_store::jobs::{self, Job};
use weir_store::pipelines::{NewPipeline, Transition};
use weir_store::{Tx, digest, projects};

use crate::app::{changes, webhooks};
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// Makes the environments that a new pipeline's jobs name, and the deployments of those that deploy. Returns the jobs
/// whose environment cannot be.
pub fn begin(
    tx: &mut Tx<'_>,
    new: &NewPipeline,
    plan: &[plan::Job],
    ids: &[JobId],
    now: Timestamp,
) -> Result<Vec<JobIndex>> {
    let mut known: HashMap<&str, Option<EnvironmentId>> = HashMap::new();
    let mut failed = Vec::new();
    for ((index, job), id) in (0..).map(JobIndex).zip(plan).zip(ids) {
        let Some(named) = &job.environment else { continue };
        let found = match known.get(named.name.as_str()) {
            Some(found) => *found,
            None => ensure(tx, new.project_id, named, now)?.map(|environment| environment.id),
        };
        known.insert(&named.name, found);
        match found {
            None => failed.push(index),
            Some(environment_id) if named.action == EnvironmentAction::Start => {
                let deployment = NewDeployment {
                    project_id: new.project_id,
                    environment_id,
                    ref_name: new.ref_name.clone(),
                    tag: new.tag,
                    sha: new.sha.clone(),
                    user_id: new.user_id,
                    job_id: Some(*id),
                    on_stop: named.on_stop.clone(),
                };
                deployments::insert(tx, &deployment, now)?;
            }
            Some(_) => {}
        }
    }
    Ok(failed)
}

/// The environment that a job names; none if there cannot be one.
fn ensure(
    tx: &mut Tx<'_>,
    project_id: ProjectId,
    named: &plan::Environment,
    now: Timestamp,
) -> Result<Option<Environment>> {
    if let Some(found) = environments::named(tx, project_id, &named.name)? {
        return Ok(Some(found));
    }
    if rules::check_name(&named.name).is_err() {
        return Ok(None);
    }
    let new = NewEnvironment {
        tier: tier(named).unwrap_or_else(|| rules::guess_tier(&named.name)),
        auto_stop_at: named.auto_stop_in.as_deref().and_then(|text| auto_stop_at(text, now)).flatten(),
        ..unset(project_id, &named.name)
    };
    match environments::insert(tx, &new, now)? {
        Some(made) => Ok(Some(made)),
        // Somebody else was faster, or the slug is that of another name.
        None => Ok(environments::named(tx, project_id, &named.name)?),
    }
}

/// A new environment of which only the name is known.
pub fn unset(project_id: ProjectId, name: &str) -> NewEnvironment {
    NewEnvironment {
        project_id,
        name: name.to_owned(),
        slug: rules::slug(name, &digest::sha256(name.as_bytes())),
        folder: rules::folder(name).map(str::to_owned),
        external_url: None,
        description: None,
        tier: rules::guess_tier(name),
        auto_stop_setting: AutoStopSetting::Always,
        auto_stop_at: None,
    }
}

/// The tier that a job demands.
fn tier(named: &plan::Environment) -> Option<EnvironmentTier> {
    named.deployment_tier.as_deref().and_then(|tier| tier.parse().ok())
}

/// When something ends whose `auto_stop_in` is this, `Some(None)` if never; none if that is no duration.
#[expect(clippy::option_option, reason = "never and nothing said are two things here")]
fn auto_stop_at(text: &str, now: Timestamp) -> Option<Option<Timestamp>> {
    Some(match rules::auto_stop(text)? {
        AutoStop::Never => None,
        AutoStop::After(seconds) => Some(now.plus_secs(i64::try_from(seconds).ok()?)),
    })
}

/// Follows a job that names an environment. For the effect of that name.
pub fn follow(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    done: &Transition,
    index: JobIndex,
    action: EnvironmentAction,
    status: JobStatus,
    now: Timestamp,
) -> Result<()> {
    let id = changes::id_of(done, index)?;
    if action == EnvironmentAction::Start {
        let deployment = match deployments::of_job(tx, id)? {
            Some(deployment) => Some(deployment),
            None if status == JobStatus::Created => repeat(tx, done, id, now)?,
            None => None,
        };
        if let (Some(deployment), Some(to)) = (deployment, rules::deployment_status(status)) {
            set_status(tx, ctx, &deployment, to, now)?;
        }
        return Ok(());
    }
    if status != JobStatus::Success {
        return Ok(());
    }
    let Some(job) = jobs::find(tx, id)? else { return Ok(()) };
    let definition = jobs::definition(tx, &job)?;
    let Some(named) = &definition.environment else { return Ok(()) };
    let Some(found) = environments::named(tx, job.project_id, &named.name)? else { return Ok(()) };
    match rules::at_success(action) {
        // That has a deployment, and is above.
        AtSuccess::Deployed => Ok(()),
        AtSuccess::Stopped => stop_at_once(tx, found.id, now),
        AtSuccess::PutOff => {
            let own = named.auto_stop_in.clone();
            let text = match own {
                Some(own) => Some(own),
                None => last_auto_stop_in(tx, found.id)?,
            };
            put_off(tx, found.id, text.as_deref(), now)
        }
        AtSuccess::PutOffIfAsked => put_off(tx, found.id, named.auto_stop_in.as_deref(), now),
    }
}

/// The deployment of a new attempt: that of the attempt before, once more.
fn repeat(tx: &mut Tx<'_>, done: &Transition, id: JobId, now: Timestamp) -> Result<Option<Deployment>> {
    let Some(job) = jobs::find(tx, id)? else { return Ok(None) };
    let Some(before) = job.retry_of.and_then(|index| done.id(index)) else { return Ok(None) };
    let Some(old) = deployments::of_job(tx, before)? else { return Ok(None) };
    let new = NewDeployment {
        project_id: old.project_id,
        environment_id: old.environment_id,
        ref_name: old.ref_name,
        tag: old.tag,
        sha: old.sha,
        user_id: job.user_id,
        job_id: Some(id),
        on_stop: old.on_stop,
    };
    Ok(Some(deployments::insert(tx, &new, now)?))
}

/// Gives a deployment a status, if it may have it, with all that follows. `false` if it may not.
pub fn set_status(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    deployment: &Deployment,
    to: DeploymentStatus,
    now: Timestamp,
) -> Result<bool> {
    if !rules::may_become(deployment.status, to) {
        return Ok(false);
    }
    let finished_at = if rules::is_finished(to) { Some(now) } else { deployment.finished_at };
    deployments::set_status(tx, deployment.id, to, finished_at, now)?;
    if to == DeploymentStatus::Success {
        deployed(tx, deployment, now)?;
    }
    webhooks::deployment(tx, ctx, deployment, to)?;
    Ok(true)
}

/// Something runs in the environment now.
fn deployed(tx: &mut Tx<'_>, deployment: &Deployment, now: Timestamp) -> Result<()> {
    let Some(before) = environments::lock(tx, deployment.environment_id)? else { return Ok(()) };
    let mut environment = before.clone();
    environment.state = EnvironmentState::Available;
    let job = deployment.job_id.map(|id| jobs::find(tx, id)).transpose()?.flatten();
    if let Some(job) = job {
        let definition = jobs::definition(tx, &job)?;
        if let Some(named) = &definition.environment {
            if let Some(url) = deployment.url.as_ref().or(named.url.as_ref()) {
                let url = expanded(url, &definition);
                // An environment that would be invalid stays as it was.
                if rules::check_url(&url).is_err() {
                    return Ok(());
                }
                environment.external_url = Some(url).filter(|url| !url.trim().is_empty());
            }
            if let Some(at) = named.auto_stop_in.as_deref().and_then(|text| auto_stop_at(text, now)) {
                environment.auto_stop_at = at;
            }
            environment.tier = tier(named).unwrap_or(environment.tier);
        }
    }
    save(tx, &before, environment, now)
}

/// A URL with what is left of its references replaced by the variables of its job's definition, or nothing. Whatever
/// the runner knew was replaced when the job started.
fn expanded(url: &str, definition: &plan::Job) -> String {
    let variables: Vec<Variable> = definition.variables.iter().map(Variable::from).collect();
    expand(url, References::Blank, |name| variables.iter().rev().find(|variable| variable.key == name))
}

/// Writes an environment if it has changed.
fn save(tx: &mut Tx<'_>, before: &Environment, mut after: Environment, now: Timestamp) -> Result<()> {
    if *before != after {
        after.updated_at = now;
        environments::update(tx, &after)?;
    }
    Ok(())
}

/// `auto_stop_in` of the job that last deployed.
fn last_auto_stop_in(tx: &mut Tx<'_>, environment: EnvironmentId) -> Result<Option<String>> {
    let last = deployments::last_success(tx, environment)?;
    let Some(id) = last.and_then(|deployment| deployment.job_id) else { return Ok(None) };
    let Some(job) = jobs::find(tx, id)? else { return Ok(None) };
    Ok(jobs::definition(tx, &job)?.environment.and_then(|named| named.auto_stop_in))
}

fn put_off(tx: &mut Tx<'_>, id: EnvironmentId, text: Option<&str>, now: Timestamp) -> Result<()> {
    let Some(at) = text.and_then(|text| auto_stop_at(text, now)) else { return Ok(()) };
    let Some(before) = environments::lock(tx, id)? else { return Ok(()) };
    let after = Environment { auto_stop_at: at, ..before.clone() };
    save(tx, &before, after, now)
}

/// Nothing runs in the environment any more.
pub(super) fn stop_at_once(tx: &mut Tx<'_>, id: EnvironmentId, now: Timestamp) -> Result<()> {
    let Some(before) = environments::lock(tx, id)? else { return Ok(()) };
    if before.state == EnvironmentState::Stopped {
        return Ok(());
    }
    let after = Environment { state: EnvironmentState::Stopped, auto_stop_at: None, ..before.clone() };
    save(tx, &before, after, now)
}

/// Whether what a job deploys was overtaken: something later is there already.
pub fn is_outdated(tx: &mut Tx<'_>, job: &Job) -> Result<bool> {
    let Some(own) = deployments::of_job(tx, job.id)? else { return Ok(false) };
    let Some(project) = projects::find(tx, job.project_id)? else { return Ok(false) };
    let forward = Forward {
        enabled: project.settings.ci_forward_deployment_enabled,
        rollback_allowed: project.settings.ci_forward_deployment_rollback_allowed,
    };
    let last = deployments::last_success(tx, own.environment_id)?;
    let last = last.as_ref().map(|last| Deployed { id: last.id, sha: &last.sha });
    Ok(rules::is_outdated(forward, job.status, Deployed { id: own.id, sha: &own.sha }, last))
}

/// Fails the deployment jobs that a step let run although they are outdated, in the same transaction.
/// Source: `app/services/ci/process_build_service.rb`,
/// `app/services/ci/resource_groups/assign_resource_from_resource_group_service.rb`.
pub fn fail_outdated(tx: &mut Tx<'_>, ctx: &Ctx, pipeline: PipelineId, done: &mut Transition) -> Result<()> {
    let enqueued: Vec<JobIndex> = done
        .changes
        .effects
        .iter()
        .filter_map(|effect| match *effect {
            Effect::Environment { job, action: EnvironmentAction::Start, status: JobStatus::Pending } => {
                Some(job)
            }
            _ => None,
        })
        .collect();
    let mut outdated = Vec::new();
    for index in enqueued {
        let job = jobs::find(tx, changes::id_of(done, index)?)?.ok_or(Error::RecordNotFound)?;
        if job.status == JobStatus::Pending && is_outdated(tx, &job)? {
            outdated.push(index);
        }
    }
    fail(tx, ctx, pipeline, done, &outdated, FailureReason::FailedOutdatedDeploymentJob)
}

/// Fails jobs right after a step, in the same transaction: the step then is both.
pub fn fail(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    pipeline: PipelineId,
    done: &mut Transition,
    failed: &[JobIndex],
    reason: FailureReason,
) -> Result<()> {
    for job in failed {
        let outcome = Outcome::Failed { reason, exit_code: None };
        let event = Event::Finished { job: *job, outcome };
        match changes::transition(tx, ctx, pipeline, event, |_| Error::RecordNotFound) {
            Ok(more) => {
                done.changes.jobs.extend(more.changes.jobs);
                done.changes.effects.extend(more.changes.effects);
                done.ids = more.ids;
            }
            // The job was left out, and does nothing anyway.
            Err(Error::RecordNotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
