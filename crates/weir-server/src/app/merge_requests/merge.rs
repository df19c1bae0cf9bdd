//! The merge: a push to the target branch by whoever may merge there.
//! Source: `app/services/merge_requests/merge_service.rb`, `lib/api/merge_requests.rb`.

use weir_api::{MergeMethod, MergeRequestState};
use weir_engine::status::is_alive;
use weir_git::{BranchName, NewMerge, ObjectId, RefUpdate, Signature};
use weir_store::merge_requests::{self as rows, MergeRequest};
use weir_store::projects::{self, Project};
use weir_store::users::User;

use super::{Obstacle, may_merge, view};
use crate::app::access::{self, Access};
use crate::app::webhooks::{self, RequestAction};
use crate::app::{git_access, pushes};
use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// What is asked for with a merge.
#[derive(Debug, Clone, Default)]
pub struct Merge {
    /// The commit that the caller has seen; another one is not merged.
    pub sha: Option<String>,
    /// The message of the merge commit.
    pub message: Option<String>,
    /// Whether the source branch is deleted then.
    pub remove_source_branch: Option<bool>,
}

/// Merges a merge request.
///
/// # Errors
/// 401 if the caller may not, 405 if it cannot be merged in its state, 409 if it has another commit than the caller
/// has seen, 422 on a conflict.
pub async fn merge(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    request: MergeRequest,
    asked: Merge,
    when_pipeline_succeeds: bool,
) -> Result<MergeRequest> {
    let (place, branch) = (access.clone(), request.target_branch.clone());
    if !ctx.db.read(move |tx| may_merge(tx, &place, &branch)).await? {
        return Err(Error::Unauthorized);
    }
    let seen = view(ctx, Some(user), request).await?;
    let cannot = || Error::Unacceptable("Branch cannot be merged".into());
    match seen.obstacle() {
        None => {}
        Some(Obstacle::Conflict) => return Err(cannot()),
        Some(_) => return Err(Error::NotAllowed),
    }
    let active = seen.head_pipeline.as_ref().is_some_and(|(_, pipeline)| is_alive(pipeline.status));
    if when_pipeline_succeeds && active {
        let reason = "merging when the pipeline succeeds is not supported: merge once it has";
        return Err(Error::parameter(reason));
    }
    let request = seen.request;
    if asked.sha.as_ref().is_some_and(|sha| *sha != request.sha) {
        let reason = format!("SHA does not match HEAD of source branch: {}", request.sha);
        return Err(Error::Conflict(reason));
    }
    let branch = BranchName::new(request.target_branch.as_str())?;
    let repository = ctx.repositories.repository(access.project.id.0);
    let into = repository.read_ref(&branch.to_ref()).await?.ok_or_else(cannot)?;
    let head = ObjectId::new(request.sha.as_str())?;
    let result = if access.project.settings.merge_method == MergeMethod::FastForward {
        head
    } else {
        let message = asked.message.clone().unwrap_or_else(|| message(&access.project, &request));
        let author = Signature::new(&user.name, &user.email, ctx.now());
        let merge = NewMerge { into: into.clone(), commit: head, message, author };
        repository.prepare_merge(&merge).await?.ok_or_else(cannot)?
    };
    let update = RefUpdate { old: into, new: result.clone(), name: branch.to_ref() };
    Box::pin(pushes::unchecked(ctx, access, user, &update)).await?;
    let (id, now, shared, actor) = (request.id, ctx.now(), ctx.clone(), user.clone());
    let fast_forward = access.project.settings.merge_method == MergeMethod::FastForward;
    let merged = ctx
        .db
        .write(move |tx| {
            let before = rows::find(tx, id)?.ok_or(Error::RecordNotFound)?;
            let mut row = before.clone();
            row.state = MergeRequestState::Merged;
            row.merge_commit_sha = (!fast_forward).then(|| result.to_string());
            (row.merged_by, row.merged_at) = (Some(actor.id), Some(now));
            rows::update(tx, &row, now)?;
            let merged = rows::find(tx, id)?.ok_or(Error::RecordNotFound)?;
            webhooks::request(tx, &shared, &actor, &merged, RequestAction::Change(&before))?;
            Ok::<_, Error>(merged)
        })
        .await?;
    ctx.bus.wake(Wake::Webhooks);
    if asked.remove_source_branch.unwrap_or(request.remove_source_branch)
        && let Err(error) = remove_source(ctx, user, &merged).await
    {
        // The merge stands.
        tracing::warn!(%error, request = merged.id.0, "the source branch of a merge request stays");
    }
    Ok(merged)
}

/// The default message of a merge commit. Source: `lib/gitlab/merge_requests/message_generator.rb`.
fn message(project: &Project, request: &MergeRequest) -> String {
    let MergeRequest { source_branch, target_branch, title, iid, .. } = request;
    let path = &project.full_path;
    format!(
        "Merge branch '{source_branch}' into '{target_branch}'\n\n{title}\n\nSee merge request {path}!{iid}"
    )
}

/// Deletes the source branch if the caller may, and nobody has pushed since.
async fn remove_source(ctx: &Ctx, user: &User, request: &MergeRequest) -> Result<()> {
    let Some(id) = request.source_project_id else { return Ok(()) };
    let (actor, now) = (user.clone(), ctx.now());
    let found = ctx
        .db
        .read(move |tx| {
            let Some(project) = projects::find(tx, id)? else { return Ok(None) };
            let standing = access::standing(tx, Some(&actor), &project, now)?;
            Ok::<_, Error>(Some(Access { project, standing }))
        })
        .await?;
    let Some(access) = found else { return Ok(()) };
    let branch = BranchName::new(request.source_branch.as_str())?;
    if !git_access::may_push(ctx, &access, &branch).await? {
        return Ok(());
    }
    let old = ObjectId::new(request.sha.as_str())?;
    let update = RefUpdate { old, new: ObjectId::zero(), name: branch.to_ref() };
    Box::pin(pushes::by_api(ctx, &access, user, &update)).await
}
