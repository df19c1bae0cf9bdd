//! Pipelines: found, created, canceled, retried, deleted.

mod compile;
mod create;
mod elsewhere;
mod redundant;

pub(in crate::app) use compile::level_of;
pub use create::{
    ByBridge, NO_RIGHT, NewVariable, Origin, Requested, Start, create, create_by_api, may_set_variables, seal,
};

use weir_api::id::{PipelineId, ProjectId, UserId};
use weir_api::pipelines::PipelineVariable;
use weir_api::{PipelineSource, Timestamp};
use weir_engine::trust::Act;
use weir_engine::{Event, Refused};
use weir_store::pipelines::{self, Filter, Pipeline};
use weir_store::projects::Project;
use weir_store::users::{self, User};
use weir_store::{Tx, variables};

use super::access::Access;
use super::{changes, commits, facts, resource_groups, trust};
use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

/// A pipeline with what belongs to it.
#[derive(Debug, Clone)]
pub struct PipelineDetails {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Who runs it.
    pub user: Option<User>,
    /// The mean coverage of its jobs.
    pub coverage: Option<f64>,
    /// Whether it passed although a job failed.
    pub warnings: bool,
}

/// The row of a pipeline of a project.
pub fn row(tx: &mut Tx<'_>, project: ProjectId, id: PipelineId) -> Result<Pipeline> {
    pipelines::find(tx, id)?.filter(|it| it.project_id == project).ok_or(Error::RecordNotFound)
}

fn details(tx: &mut Tx<'_>, pipeline: Pipeline) -> Result<PipelineDetails> {
    let user = pipeline.user_id.map(|id| users::find(tx, id)).transpose()?.flatten();
    let coverage = pipelines::coverage(tx, pipeline.id)?;
    let warnings =
        pipeline.status == weir_api::JobStatus::Success && pipelines::has_warnings(tx, pipeline.id)?;
    Ok(PipelineDetails { pipeline, user, coverage, warnings })
}

/// One page of the pipelines of a project, and how many there are.
pub async fn list(ctx: &Ctx, project: &Project, filter: Filter, page: Page) -> Result<(Vec<Pipeline>, u64)> {
    let filter = Filter { project_id: Some(project.id), ..filter };
    Ok(ctx
        .db
        .read(move |tx| {
            let total = pipelines::count(tx, &filter)?.unsigned_abs();
            Ok::<_, weir_store::Error>((pipelines::list(tx, &filter, page.rows())?, total))
        })
        .await?)
}

/// One pipeline.
pub async fn find(ctx: &Ctx, project: &Project, id: PipelineId) -> Result<PipelineDetails> {
    let project = project.id;
    ctx.db
        .read(move |tx| {
            let pipeline = row(tx, project, id)?;
            details(tx, pipeline)
        })
        .await
}

/// The newest pipeline of the newest commit of a branch or tag, the default branch unless asked.
///
/// # Errors
/// 403 if there is none: GitLab asks whether the caller may see nothing, and nobody may.
pub async fn latest(ctx: &Ctx, project: &Project, git_ref: Option<String>) -> Result<PipelineDetails> {
    let none = || Error::Forbidden(None);
    let git_ref = git_ref.or_else(|| project.default_branch.clone()).ok_or_else(none)?;
    let resolved = commits::repository(ctx, project).resolve_ref(&git_ref).await;
    let resolved = resolved.ok().flatten().ok_or_else(none)?;
    let (id, sha) = (project.id, resolved.commit.to_string());
    let short = git_ref.strip_prefix("refs/heads/").or_else(|| git_ref.strip_prefix("refs/tags/"));
    let name = short.unwrap_or(&git_ref).to_owned();
    ctx.db
        .read(move |tx| {
            let pipeline = pipelines::latest(tx, id, &name, Some(&sha))?.ok_or_else(none)?;
            details(tx, pipeline)
        })
        .await
}

/// The variables that were given at its creation.
pub async fn variables(ctx: &Ctx, project: &Project, id: PipelineId) -> Result<Vec<PipelineVariable>> {
    let project = project.id;
    let rows = ctx
        .db
        .read(move |tx| {
            row(tx, project, id)?;
            Ok::<_, Error>(variables::of_pipeline(tx, id)?)
        })
        .await?;
    rows.iter()
        .map(|row| {
            let variable = facts::given(ctx, row)?;
            Ok(PipelineVariable {
                variable_type: row.variable_type,
                key: variable.key,
                value: variable.value.unwrap_or_default(),
                raw: Some(row.raw),
            })
        })
        .collect()
}

/// Cancels whatever of the pipeline can be canceled. One that has ended stays as it is, and so does one of another
/// system, which alone knows how to stop its jobs.
pub async fn cancel(ctx: &Ctx, access: &Access, id: PipelineId) -> Result<PipelineDetails> {
    let found = find(ctx, &access.project, id).await?;
    if found.pipeline.source == PipelineSource::External {
        trust::demand(ctx, access, &found.pipeline, Act::Cancel).await?;
        return Ok(found);
    }
    change(ctx, access, id, Event::CancelPipeline { cascade: true }, None).await
}

/// Retries the failed and canceled jobs.
pub async fn retry(ctx: &Ctx, access: &Access, user: &User, id: PipelineId) -> Result<PipelineDetails> {
    change(ctx, access, id, Event::RetryPipeline, Some(user.id)).await
}

async fn change(
    ctx: &Ctx,
    access: &Access,
    id: PipelineId,
    event: Event,
    user: Option<UserId>,
) -> Result<PipelineDetails> {
    let found = find(ctx, &access.project, id).await?;
    let act = if user.is_some() { Act::Retry } else { Act::Cancel };
    trust::demand(ctx, access, &found.pipeline, act).await?;
    let shared = ctx.clone();
    let done = ctx
        .db
        .write(move |tx| {
            let done = changes::transition(tx, &shared, id, event, |refused: Refused| {
                Error::forbidden(refused.to_string())
            })?;
            if let Some(user) = user {
                changes::on_behalf(tx, &shared, id, &done, user)?;
            }
            Ok::<_, Error>(done)
        })
        .await?;
    changes::announce(ctx, access.project.id, id, &done);
    find(ctx, &access.project, id).await
}

/// Gives a pipeline a name.
pub async fn rename(ctx: &Ctx, project: &Project, id: PipelineId, name: String) -> Result<PipelineDetails> {
    /// Characters of a name. Source: `app/models/ci/pipeline_metadata.rb`.
    const MAX_NAME: usize = 255;
    if name.chars().count() > MAX_NAME {
        let text = format!("Failed to update pipeline - Name is too long (maximum is {MAX_NAME} characters)");
        return Err(Error::Invalid(text.into()));
    }
    let (owner, now) = (project.id, ctx.now());
    ctx.db
        .write(move |tx| {
            row(tx, owner, id)?;
            Ok::<_, Error>(pipelines::set_name(tx, id, &name, now)?)
        })
        .await?;
    find(ctx, project, id).await
}

/// Deletes a pipeline with its jobs, traces and artifacts.
///
/// # Errors
/// 412 if it changed after `unmodified_since`.
pub async fn delete(
    ctx: &Ctx,
    project: &Project,
    id: PipelineId,
    unmodified_since: Option<Timestamp>,
) -> Result<()> {
    let (project_id, now, shared) = (project.id, ctx.now(), ctx.clone());
    ctx.db
        .write(move |tx| {
            let pipeline = row(tx, project_id, id)?;
            if unmodified_since.is_some_and(|since| pipeline.updated_at > since) {
                return Err(Error::PreconditionFailed);
            }
            pipelines::delete(tx, id, now)?;
            resource_groups::assign_all(tx, &shared, project_id)
        })
        .await?;
    let name = weir_git::RefName::pipeline(id.0);
    if let Err(error) = commits::repository(ctx, project).delete_refs(&[name]).await {
        // The ref only keeps a commit alive; a later clean-up finds it.
        tracing::warn!(%error, pipeline = id.0, "the ref of a deleted pipeline stays");
    }
    ctx.bus.wake(Wake::Background);
    ctx.bus.wake(Wake::Outbox);
    Ok(())
}
