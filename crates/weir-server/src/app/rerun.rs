//! Pipelines that run again, or a part of them, through their downstream pipelines too. This goes beyond GitLab.

use weir_api::JobStatus;
use weir_api::id::{JobId, PipelineId, UserId};
use weir_engine::rerun::Scope;
use weir_engine::trust::Act;
use weir_engine::{Event, Refused};
use weir_store::jobs::{self, Filter, Job};
use weir_store::pipelines::Transition;
use weir_store::users::User;
use weir_store::variables::{self, GivenVariable};
use weir_store::{Page, Tx};

use super::access::Access;
use super::outbox::{self, Task};
use super::pipelines::{self, NewVariable, PipelineDetails};
use super::{changes, protection, trust};
use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// What of a pipeline is to run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Every job.
    All,
    /// What failed or was canceled.
    Failed,
    /// The job of this id and what depends on it.
    FromId(JobId),
    /// The newest attempt of this name and what depends on it.
    FromName(String),
}

/// Runs a pipeline again, or a part of it. The jobs that run again get the given variables in place of those that they
/// were given before; none keeps those.
///
/// # Errors
/// 404 if there is no such job, 409 if a job that would be repeated has not ended, 400 if nothing is to run again.
pub async fn rerun(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    id: PipelineId,
    what: What,
    given: &[NewVariable],
) -> Result<PipelineDetails> {
    let found = pipelines::find(ctx, &access.project, id).await?;
    trust::demand(ctx, access, &found.pipeline, Act::Retry).await?;
    protection::demand_variables(access, given)?;
    let (shared, given, user) = (ctx.clone(), pipelines::seal(ctx, given)?, user.id);
    let done = ctx
        .db
        .write(move |tx| {
            let scope = scope(tx, id, &what)?;
            let (done, nothing) = apply(tx, &shared, id, scope, user, &given)?;
            if nothing {
                return Err(Error::BadRequest("No job to run again".to_owned()));
            }
            Ok(done)
        })
        .await?;
    changes::announce(ctx, access.project.id, id, &done);
    ctx.bus.wake(Wake::Outbox);
    pipelines::find(ctx, &access.project, id).await
}

fn scope(tx: &mut Tx<'_>, id: PipelineId, what: &What) -> Result<Scope> {
    let job = match what {
        What::All => return Ok(Scope::All),
        What::Failed => return Ok(Scope::Failed),
        What::FromId(job) => jobs::find(tx, *job)?.filter(|job| job.pipeline_id == id),
        What::FromName(name) => jobs::named(tx, id, std::slice::from_ref(name))?.pop(),
    };
    Ok(Scope::From(job.ok_or(Error::NotFound("Job"))?.index))
}

/// Applies it to one pipeline and leaves tasks for the downstream pipelines that are followed. Also says whether that
/// was nothing at all.
fn apply(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    id: PipelineId,
    scope: Scope,
    user: UserId,
    given: &[GivenVariable],
) -> Result<(Transition, bool)> {
    let followed = if scope == Scope::Failed { followed(tx, id)? } else { Vec::new() };
    let refused = |refused: Refused| Error::Conflict(refused.to_string());
    let done = changes::transition(tx, ctx, id, Event::Rerun { scope }, refused)?;
    let again = changes::on_behalf(tx, ctx, id, &done, user)?;
    for bridge in &followed {
        outbox::add(tx, &Task::RerunDownstream { bridge: bridge.id, user }, ctx.now())?;
    }
    if !given.is_empty() {
        // A bridge keeps for its downstream pipeline what it was given.
        for job in again.iter().copied().chain(followed.iter().map(|bridge| bridge.id)) {
            variables::set_for_job(tx, job, given)?;
        }
    }
    let nothing = again.is_empty() && followed.is_empty();
    Ok((done, nothing))
}

/// The bridges of a pipeline in whose downstream pipelines something failed.
fn followed(tx: &mut Tx<'_>, id: PipelineId) -> Result<Vec<Job>> {
    let filter = Filter {
        pipeline_id: Some(id),
        bridge: Some(true),
        latest_only: true,
        scope: vec![JobStatus::Failed, JobStatus::Canceled],
        ..Filter::default()
    };
    let bridges = jobs::list(tx, &filter, Page::first(i64::MAX))?;
    Ok(bridges.into_iter().filter(|bridge| bridge.started_at.is_some()).collect())
}

/// Runs again what failed in the downstream pipeline of a bridge, on behalf of the user who runs its upstream again, as
/// far as that user may. What runs already stays.
pub async fn downstream(ctx: &Ctx, bridge: JobId, user: UserId) -> Result<()> {
    let (shared, now) = (ctx.clone(), ctx.now());
    let done = ctx
        .db
        .write(move |tx| {
            let pipeline = weir_store::pipelines::downstream_of_jobs(tx, &[bridge])?.pop();
            let pipeline = pipeline.ok_or(Error::RecordNotFound)?;
            if !trust::lets_user(tx, Some(user), pipeline.id, Act::Retry, now)? {
                return Err(Error::RecordNotFound);
            }
            let given = variables::of_job(tx, bridge)?;
            let (done, _) = apply(tx, &shared, pipeline.id, Scope::Failed, user, &given)?;
            Ok((pipeline, done))
        })
        .await;
    match done {
        Ok((pipeline, done)) => {
            changes::announce(ctx, pipeline.project_id, pipeline.id, &done);
            ctx.bus.wake(Wake::Outbox);
        }
        // It is gone, or not the user's to run.
        Err(Error::RecordNotFound | Error::Conflict(_)) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
