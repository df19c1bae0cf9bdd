//! Pipelines of merge requests, and what a push means to them.
//! Source: `app/services/merge_requests/{create_pipeline_service,refresh_service}.rb`.

use weir_api::PipelineSource;
use weir_api::id::{PipelineId, ProjectId};
use weir_engine::trust::{Act, Facts, Place, judge, place};
use weir_git::{BranchName, NewMerge, ObjectId, RefName, Signature};
use weir_store::merge_requests::{self, MergeRequest};
use weir_store::pipelines::{self as rows, Merged, Pipeline};
use weir_store::projects::{self, Project};
use weir_store::users::User;

use super::RequestOf;
use crate::app::access::{self, Access};
use crate::app::pipelines::{self, Origin, Requested, Start};
use crate::app::webhooks::{self, RequestAction};
use crate::app::{commits, trust};
use crate::auth::Action;
use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

/// Merge requests of one branch that a push brings up to date.
const MAX_OF_BRANCH: i64 = 100;

/// One page of the pipelines that ran for a merge request, with their projects, and how many there are: its own ones,
/// and those of its commits on the source branch.
pub async fn list(ctx: &Ctx, request: &MergeRequest, page: Page) -> Result<(Vec<(Project, Pipeline)>, u64)> {
    let request = request.clone();
    ctx.db
        .read(move |tx| {
            let total = rows::count_of_merge_request(tx, &request)?.unsigned_abs();
            let mut found = Vec::new();
            for pipeline in rows::of_merge_request(tx, &request, page.rows())? {
                if let Some(project) = projects::find(tx, pipeline.project_id)? {
                    found.push((project, pipeline));
                }
            }
            Ok((found, total))
        })
        .await
}

/// After a push of a branch: its open merge requests get the commit, and their pipelines unless the push wants none.
pub async fn pushed(
    ctx: &Ctx,
    project: &Project,
    user: &User,
    branch: &str,
    commit: &ObjectId,
    skip: bool,
) -> Result<()> {
    let (owner, name) = (project.id, branch.to_owned());
    let open = ctx.db.read(move |tx| merge_requests::open_of_source(tx, owner, &name, MAX_OF_BRANCH)).await?;
    for request in open {
        let request = refresh(ctx, request, Some(user)).await?;
        // Somebody has pushed since. What this push says it says of its own commit alone.
        if skip || request.sha != commit.as_str() {
            continue;
        }
        match Box::pin(create(ctx, user, &request, Act::Push)).await {
            Ok(_) => {}
            Err(Error::Invalid(reason)) => {
                tracing::info!(%reason, request = request.id.0, "a merge request has no pipeline");
            }
            Err(Error::Forbidden(_) | Error::NotFound(_) | Error::NotAllowed) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Brings the newest commit of the source branch into the target project. Hooks are told if somebody has pushed it.
pub(super) async fn refresh(ctx: &Ctx, request: MergeRequest, pusher: Option<&User>) -> Result<MergeRequest> {
    let Some(source) = request.source_project_id else { return Ok(request) };
    let branch = BranchName::new(request.source_branch.as_str())?;
    let head = ctx.repositories.repository(source.0).read_ref(&branch.to_ref()).await?;
    let Some(head) = head.filter(|head| head.as_str() != request.sha) else { return Ok(request) };
    let base = bring(ctx, source, &request, &head).await?;
    let (id, now, shared, pusher) = (request.id, ctx.now(), ctx.clone(), pusher.cloned());
    let refreshed = ctx
        .db
        .write(move |tx| {
            merge_requests::set_head(tx, id, head.as_str(), base.as_deref(), now)?;
            let refreshed = merge_requests::find(tx, id)?.ok_or(Error::RecordNotFound)?;
            if let Some(pusher) = &pusher {
                webhooks::request(tx, &shared, pusher, &refreshed, RequestAction::Push(&request.sha))?;
            }
            Ok::<_, Error>(refreshed)
        })
        .await?;
    ctx.bus.wake(Wake::Webhooks);
    Ok(refreshed)
}

/// Points the merge request's ref in the target project at a commit of the source project; the base of the two.
pub(super) async fn bring(
    ctx: &Ctx,
    source: ProjectId,
    request: &MergeRequest,
    head: &ObjectId,
) -> Result<Option<String>> {
    let target = ctx.repositories.repository(request.target_project_id.0);
    let name = RefName::merge_request_head(request.iid);
    if source == request.target_project_id {
        target.set_refs(&[(name, head.clone())]).await?;
    } else {
        target.take(head, &ctx.repositories.repository(source.0), &name).await?;
    }
    let branch = BranchName::new(request.target_branch.as_str())?;
    let Some(into) = target.read_ref(&branch.to_ref()).await? else { return Ok(None) };
    Ok(target.merge_base(&into, head).await?.map(String::from))
}

/// Makes a pipeline of a merge request: in the target project if the actor may run its commit there, else in the project
/// that it comes from. None if the configuration has no jobs for it, or it has its pipeline already.
///
/// # Errors
/// For [`Act::Ask`], why there is none.
pub async fn create(
    ctx: &Ctx,
    user: &User,
    request: &MergeRequest,
    act: Act,
) -> Result<Option<(Project, PipelineId)>> {
    let (row, actor, now) = (request.clone(), user.clone(), ctx.now());
    let (target, source, code, done) = ctx
        .db
        .read(move |tx| {
            let target = projects::find(tx, row.target_project_id)?.ok_or(Error::NotFound("Project"))?;
            let source = row.source_project_id.map(|id| projects::find(tx, id)).transpose()?.flatten();
            let code = trust::of_request(tx, &target, &row, &row.sha)?;
            let done = act != Act::Ask && rows::has_for_head(tx, row.id, &row.sha)?;
            let standing = access::standing(tx, Some(&actor), &target, now)?;
            let source = match source {
                Some(project) => {
                    let standing = access::standing(tx, Some(&actor), &project, now)?;
                    Some(Access { project, standing })
                }
                None => None,
            };
            Ok::<_, Error>((Access { project: target, standing }, source, code, done))
        })
        .await?;
    // Nothing to merge, nothing to run.
    if done || request.base_sha.as_deref() == Some(request.sha.as_str()) {
        return if act == Act::Ask { Err(Error::NotAllowed) } else { Ok(None) };
    }
    let facts = Facts { act, level: target.standing.level, code: code.code(), has: None };
    let place = place(facts).map_err(|_| Error::Forbidden(None))?;
    let (access, name, commit, merged) = match place {
        Place::Source => {
            let access = source.ok_or(Error::NotFound("Project"))?;
            access.standing.demand(Action::CreatePipeline)?;
            let name = BranchName::new(request.source_branch.as_str())?.to_ref();
            (access, name, ObjectId::new(request.sha.as_str())?, None)
        }
        Place::Target => {
            if matches!(code, trust::Known::Foreign { .. }) && judge(facts).is_ok() && act.approves() {
                approve(ctx, user, request, target.standing.level).await?;
            }
            let (name, commit, merged) = what_to_run(ctx, user, &target.project, request).await?;
            (target, name, commit, merged)
        }
    };
    let start = Start {
        source: PipelineSource::MergeRequestEvent,
        origin: Origin::Request(Box::new(Requested {
            of: RequestOf { request: request.clone(), merged },
            act,
        })),
        name,
        commit,
        variables: Vec::new(),
        inputs: Vec::new(),
        config: None,
    };
    let created = pipelines::create(ctx, &access, user, start).await?;
    Ok(created.map(|id| (access.project, id)))
}

/// Notes that the actor lets the merge request's present commit run in the target project.
async fn approve(ctx: &Ctx, user: &User, request: &MergeRequest, level: weir_api::AccessLevel) -> Result<()> {
    let (id, sha, user, now) = (request.id, request.sha.clone(), user.id, ctx.now());
    Ok(ctx.db.write(move |tx| merge_requests::approve(tx, id, &sha, user, level, now)).await?)
}

/// The ref and the commit that a pipeline in the target project runs: what merging would make if the project wants that
/// and it can be made, else the newest commit of the source branch.
async fn what_to_run(
    ctx: &Ctx,
    user: &User,
    project: &Project,
    request: &MergeRequest,
) -> Result<(RefName, ObjectId, Option<Merged>)> {
    let head = ObjectId::new(request.sha.as_str())?;
    let detached = (RefName::merge_request_head(request.iid), head.clone(), None);
    if !project.settings.merge_pipelines_enabled {
        return Ok(detached);
    }
    let repository = commits::repository(ctx, project);
    let branch = BranchName::new(request.target_branch.as_str())?;
    let Some(into) = repository.read_ref(&branch.to_ref()).await? else { return Ok(detached) };
    let merge = NewMerge {
        message: format!("Merge {head} into {into}"),
        author: Signature::new(&user.name, &user.email, ctx.now()),
        into: into.clone(),
        commit: head.clone(),
    };
    let Some(result) = repository.prepare_merge(&merge).await? else { return Ok(detached) };
    let name = RefName::merge_request_merge(request.iid);
    repository.set_refs(&[(name.clone(), result.clone())]).await?;
    Ok((name, result, Some(Merged { source_sha: head.to_string(), target_sha: into.to_string() })))
}
