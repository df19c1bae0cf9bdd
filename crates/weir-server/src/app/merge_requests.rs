//! Merge requests: what one branch brings to another, perhaps of another project.
//! Source: `app/services/merge_requests/`.

mod facts;
mod merge;
mod pipelines;

pub use self::facts::{RequestFacts, RequestOf, of as facts};
pub use self::merge::{Merge, merge};
pub use self::pipelines::{create as create_pipeline, list as list_pipelines, pushed};

use weir_api::id::{ProjectId, UserId};
use weir_api::{JobStatus, MergeMethod, MergeRequestState, MergeStatus};
use weir_engine::status::is_alive;
use weir_engine::trust::Act;
use weir_git::{BranchName, Commit, ObjectId, RefName};
use weir_store::merge_requests::{self as rows, Filter, MergeRequest, NewMergeRequest};
use weir_store::pipelines::Pipeline;
use weir_store::projects::{self, Project};
use weir_store::users::{self, User};
use weir_store::{Page as Rows, Tx};

use super::access::Access;
use super::webhooks::{self, RequestAction};
use super::{access, commits, protection, trust};
use crate::auth::Action;
use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

/// The longest title. Source: `app/models/concerns/issuable.rb`.
const MAX_TITLE: usize = 255;
/// Commits of one merge request that are listed.
const MAX_COMMITS: usize = 1_000;

/// A merge request with what its entity tells besides.
#[derive(Debug, Clone)]
pub struct View {
    /// The merge request.
    pub request: MergeRequest,
    /// The project that it changes.
    pub target: Project,
    /// Who made it, looks after it, merged it, closed it, runs its newest pipeline.
    pub people: Vec<User>,
    /// The newest pipeline of its newest commit, and that pipeline's project.
    pub head_pipeline: Option<(Project, Pipeline)>,
    /// Whether that passed although a job failed.
    pub warnings: bool,
    /// Whether the caller may merge it.
    pub can_merge: bool,
    /// Whether the target branch is part of the source branch.
    pub fast_forwards: bool,
}

impl View {
    /// One of the people.
    pub fn person(&self, id: Option<UserId>) -> Option<&User> {
        self.people.iter().find(|user| Some(user.id) == id)
    }

    /// Why it cannot be merged now; none if it can.
    pub fn obstacle(&self) -> Option<Obstacle> {
        let settings = &self.target.settings;
        let status = self.head_pipeline.as_ref().map(|(_, pipeline)| pipeline.status);
        let green = match status {
            Some(JobStatus::Success) => true,
            Some(JobStatus::Skipped) => settings.allow_merge_on_skipped_pipeline,
            _ => false,
        };
        if self.request.state != MergeRequestState::Opened {
            Some(Obstacle::NotOpen)
        } else if is_draft(&self.request.title) {
            Some(Obstacle::Draft)
        } else if settings.only_allow_merge_if_pipeline_succeeds && !green {
            let running = status.is_some_and(is_alive);
            Some(if running { Obstacle::PipelineRuns } else { Obstacle::Pipeline })
        } else if self.request.merge_status == MergeStatus::CannotBeMerged {
            Some(Obstacle::Conflict)
        } else if settings.merge_method != MergeMethod::Merge && !self.fast_forwards {
            Some(Obstacle::NeedsRebase)
        } else {
            None
        }
    }
}

/// Why a merge request cannot be merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// It is closed or merged.
    NotOpen,
    /// It is a draft.
    Draft,
    /// Its pipeline has not succeeded, and must.
    Pipeline,
    /// The same, and it may yet.
    PipelineRuns,
    /// Source and target conflict.
    Conflict,
    /// The target branch has moved on.
    NeedsRebase,
}

/// Whether a title says that it is a draft. Source: `app/models/merge_request.rb`.
pub fn is_draft(title: &str) -> bool {
    let title = title.trim_start().to_ascii_lowercase();
    ["[draft]", "(draft)", "draft:"].iter().any(|mark| title.starts_with(mark))
}

/// One page of merge requests, and how many there are.
pub async fn list(ctx: &Ctx, caller: Option<&User>, filter: Filter, page: Page) -> Result<(Vec<View>, u64)> {
    let (caller, now) = (caller.cloned(), ctx.now());
    ctx.db
        .read(move |tx| {
            let total = rows::count(tx, &filter)?.unsigned_abs();
            let found = rows::list(tx, &filter, page.rows())?;
            let views = found.into_iter().map(|it| gather(tx, caller.as_ref(), it, now));
            Ok((views.collect::<Result<_>>()?, total))
        })
        .await
}

/// The merge request with a number in a project.
///
/// # Errors
/// 404.
pub async fn find(ctx: &Ctx, project: &Project, iid: i64) -> Result<MergeRequest> {
    let id = project.id;
    ctx.db.read(move |tx| rows::find_by_iid(tx, id, iid)).await?.ok_or(Error::RecordNotFound)
}

/// A merge request as the caller sees it, with a fresh look at whether its branches fit.
pub async fn view(ctx: &Ctx, caller: Option<&User>, request: MergeRequest) -> Result<View> {
    let (caller, now, id) = (caller.cloned(), ctx.now(), request.id);
    let fit = if request.state == MergeRequestState::Opened { fit(ctx, &request).await? } else { None };
    if let Some((status, _)) = fit
        && status != request.merge_status
    {
        ctx.db.write(move |tx| rows::set_merge_status(tx, id, status)).await?;
    }
    let mut view = ctx
        .db
        .read(move |tx| {
            let request = rows::find(tx, id)?.ok_or(Error::RecordNotFound)?;
            gather(tx, caller.as_ref(), request, now)
        })
        .await?;
    view.fast_forwards = fit.is_some_and(|(_, fast_forwards)| fast_forwards);
    Ok(view)
}

/// Whether source and target merge, and whether that is only a move of the target; none without a target branch.
async fn fit(ctx: &Ctx, request: &MergeRequest) -> Result<Option<(MergeStatus, bool)>> {
    let repository = ctx.repositories.repository(request.target_project_id.0);
    let branch = BranchName::new(request.target_branch.as_str())?;
    let Some(into) = repository.read_ref(&branch.to_ref()).await? else { return Ok(None) };
    let head = ObjectId::new(request.sha.as_str())?;
    let fast_forwards = repository.is_ancestor(&into, &head).await?;
    let clean = fast_forwards || repository.merges_cleanly(&into, &head).await?;
    let status = if clean { MergeStatus::CanBeMerged } else { MergeStatus::CannotBeMerged };
    Ok(Some((status, fast_forwards)))
}

pub(super) fn gather(
    tx: &mut Tx<'_>,
    caller: Option<&User>,
    request: MergeRequest,
    now: weir_api::Timestamp,
) -> Result<View> {
    let target = projects::find(tx, request.target_project_id)?.ok_or(Error::RecordNotFound)?;
    let head = weir_store::pipelines::head_of_merge_request(tx, &request)?;
    let runs = head.as_ref().and_then(|pipeline| pipeline.user_id);
    let people = [request.author_id, request.assignee_id, request.merged_by, request.closed_by, runs];
    let mut people: Vec<UserId> = people.into_iter().flatten().collect();
    people.sort_unstable();
    people.dedup();
    let people = users::find_all(tx, &people)?;
    let warnings = match &head {
        Some(pipeline) => weir_store::pipelines::has_warnings(tx, pipeline.id)?,
        None => false,
    };
    let head_pipeline = match head {
        Some(pipeline) => projects::find(tx, pipeline.project_id)?.map(|project| (project, pipeline)),
        None => None,
    };
    let standing = access::standing(tx, caller, &target, now)?;
    let can_merge = may_merge(tx, &Access { project: target.clone(), standing }, &request.target_branch)?;
    Ok(View { request, target, people, head_pipeline, warnings, can_merge, fast_forwards: false })
}

/// Whether the caller may merge into a branch. Source: `Gitlab::UserAccess#can_merge_to_branch?`.
pub(super) fn may_merge(tx: &mut Tx<'_>, access: &Access, branch: &str) -> Result<bool> {
    if access.project.archived || !access.standing.may(Action::WriteCode) {
        return Ok(false);
    }
    let name = BranchName::new(branch)?.to_ref();
    let guard = trust::guard(protection::of_ref(tx, &access.project, &name)?);
    Ok(guard.is_none_or(|guard| guard.lets(access.standing.level)))
}

/// What is asked for with a new merge request.
#[derive(Debug, Clone)]
pub struct New {
    /// The branch that it brings.
    pub source_branch: String,
    /// The branch that it changes.
    pub target_branch: String,
    /// The project that it changes; none is the one that it comes from.
    pub target_project_id: Option<ProjectId>,
    /// What it is called.
    pub title: String,
    /// What it is about.
    pub description: Option<String>,
    /// Who looks after it.
    pub assignee_id: Option<UserId>,
    /// Labels.
    pub labels: Vec<String>,
    /// Whether a merge deletes the source branch.
    pub remove_source_branch: Option<bool>,
}

/// Opens a merge request, and makes its pipeline.
///
/// # Errors
/// 409 if the branch has an open one, 422 if the projects or branches do not fit, 400 for other values.
pub async fn create(ctx: &Ctx, source: &Access, user: &User, new: New) -> Result<MergeRequest> {
    let target = target(ctx, source, user, new.target_project_id).await?;
    check_title(&new.title)?;
    if source.project.id == target.id && new.source_branch == new.target_branch {
        let complaint = "You can't use same project/branch for source and target";
        return Err(Error::Unacceptable([complaint].as_slice().into()));
    }
    let head = branch_head(ctx, &source.project, "source_branch", &new.source_branch).await?;
    branch_head(ctx, &target, "target_branch", &new.target_branch).await?;
    let row = NewMergeRequest {
        target_project_id: target.id,
        source_project_id: source.project.id,
        source_branch: new.source_branch,
        target_branch: new.target_branch,
        title: new.title,
        description: new.description.filter(|text| !text.is_empty()),
        author_id: user.id,
        assignee_id: new.assignee_id,
        labels: new.labels,
        sha: head.to_string(),
        base_sha: None,
        remove_source_branch: new
            .remove_source_branch
            .unwrap_or(target.settings.remove_source_branch_after_merge),
    };
    let (now, wanted) = (ctx.now(), row.clone());
    let request = ctx
        .db
        .write(move |tx| {
            refuse_second(tx, &wanted.target_branch, wanted.target_project_id, source_of(&wanted), None)?;
            if let Some(id) = wanted.assignee_id
                && users::find(tx, id)?.is_none()
            {
                return Err(Error::field("assignee", "is invalid"));
            }
            Ok(rows::insert(tx, &wanted, now)?)
        })
        .await?;
    let brought = pipelines::bring(ctx, source.project.id, &request, &head).await;
    let (id, failed) = (request.id, brought.is_err());
    let (shared, author) = (ctx.clone(), user.clone());
    let request = ctx
        .db
        .write(move |tx| match &brought {
            Ok(base) => {
                rows::set_head(tx, id, head.as_str(), base.as_deref(), now)?;
                let request = rows::find(tx, id)?.ok_or(Error::RecordNotFound)?;
                webhooks::request(tx, &shared, &author, &request, RequestAction::Open)?;
                Ok(request)
            }
            // Without its commit it is nothing.
            Err(_) => rows::delete(tx, id).map(|_| request.clone()).map_err(Error::from),
        })
        .await?;
    if failed {
        return Err(Error::internal("the commit of a merge request could not be brought"));
    }
    ctx.bus.wake(Wake::Webhooks);
    start_pipeline(ctx, user, &request, Act::Open).await?;
    Ok(request)
}

fn source_of(new: &NewMergeRequest) -> (ProjectId, &str) {
    (new.source_project_id, &new.source_branch)
}

/// Makes a pipeline because of what happened; that there is none is no failure.
async fn start_pipeline(ctx: &Ctx, user: &User, request: &MergeRequest, act: Act) -> Result<()> {
    match pipelines::create(ctx, user, request, act).await {
        Ok(_) => Ok(()),
        Err(Error::Invalid(reason)) => {
            tracing::info!(%reason, request = request.id.0, "a merge request has no pipeline");
            Ok(())
        }
        Err(Error::Forbidden(_) | Error::NotFound(_) | Error::Unauthorized) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The project that a new merge request changes: the one that it comes from, or one of the same family.
async fn target(ctx: &Ctx, source: &Access, user: &User, id: Option<ProjectId>) -> Result<Project> {
    let Some(id) = id.filter(|id| *id != source.project.id) else { return Ok(source.project.clone()) };
    let (user, now, own) = (user.clone(), ctx.now(), source.project.clone());
    let found = ctx
        .db
        .read(move |tx| {
            let found = access::find_project(tx, Some(&user), &id.to_string(), now)?;
            let Some(found) = found else { return Ok(None) };
            let related = root(tx, &found.project)? == root(tx, &own)?;
            Ok::<_, Error>(Some((found, related)))
        })
        .await?;
    let Some((access, related)) = found else { return Err(Error::NotFound("Project")) };
    access.standing.demand(Action::ReadCode)?;
    if !related {
        let complaint = "Source project is not a fork of the target project";
        return Err(Error::Unacceptable([complaint].as_slice().into()));
    }
    if access.project.archived {
        return Err(Error::Forbidden(None));
    }
    Ok(access.project)
}

/// The project at the beginning of a line of forks.
fn root(tx: &mut Tx<'_>, project: &Project) -> Result<ProjectId> {
    /// Forks of forks that are followed.
    const MAX_DEPTH: usize = 100;
    let mut at = project.clone();
    for _ in 0..MAX_DEPTH {
        let Some(parent) = at.forked_from_id.map(|id| projects::find(tx, id)).transpose()?.flatten() else {
            break;
        };
        at = parent;
    }
    Ok(at.id)
}

async fn branch_head(ctx: &Ctx, project: &Project, field: &str, name: &str) -> Result<ObjectId> {
    let missing = || Error::field(field, "does not exist");
    let name = BranchName::new(name).map_err(|_| Error::field(field, "is invalid"))?;
    match commits::repository(ctx, project).read_ref(&name.to_ref()).await {
        Ok(Some(head)) => Ok(head),
        Ok(None) | Err(weir_git::Error::NoRepository) => Err(missing()),
        Err(error) => Err(error.into()),
    }
}

fn check_title(title: &str) -> Result<()> {
    if title.trim().is_empty() {
        return Err(Error::field("title", "can't be blank"));
    }
    if title.chars().count() > MAX_TITLE {
        return Err(Error::field("title", format!("is too long (maximum is {MAX_TITLE} characters)")));
    }
    Ok(())
}

/// A branch has one open merge request for each target.
fn refuse_second(
    tx: &mut Tx<'_>,
    target_branch: &str,
    target: ProjectId,
    (source, branch): (ProjectId, &str),
    but_for: Option<i64>,
) -> Result<()> {
    let filter = Filter {
        target_project_id: Some(target),
        source_project_id: Some(source),
        source_branch: Some(branch.to_owned()),
        target_branch: Some(target_branch.to_owned()),
        state: Some(MergeRequestState::Opened),
        ..Filter::default()
    };
    let other = rows::list(tx, &filter, Rows::first(2))?.into_iter().find(|it| Some(it.iid) != but_for);
    match other {
        Some(other) => {
            let iid = other.iid;
            let complaint =
                format!("Another open merge request already exists for this source branch: !{iid}");
            Err(Error::ConflictOf([complaint].as_slice().into()))
        }
        None => Ok(()),
    }
}

/// What is to change of a merge request. What has two layers may be unset.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// What it is called.
    pub title: Option<String>,
    /// What it is about.
    pub description: Option<Option<String>>,
    /// The branch that it changes.
    pub target_branch: Option<String>,
    /// Who looks after it.
    pub assignee_id: Option<Option<UserId>>,
    /// Labels in place of all that it has.
    pub labels: Option<Vec<String>>,
    /// Labels besides those that it has.
    pub add_labels: Vec<String>,
    /// Labels that it loses.
    pub remove_labels: Vec<String>,
    /// Whether a merge deletes the source branch.
    pub remove_source_branch: Option<bool>,
    /// Open again, or closed.
    pub reopen: Option<bool>,
}

/// Changes a merge request: its author may, and whoever may push to the project.
///
/// # Errors
/// 403, 400 if a value cannot be, 409 if it cannot be opened again.
pub async fn update(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    request: MergeRequest,
    change: Change,
) -> Result<MergeRequest> {
    if request.author_id != Some(user.id) {
        access.standing.demand(Action::WriteCode)?;
    }
    if let Some(title) = &change.title {
        check_title(title)?;
    }
    if let Some(branch) = &change.target_branch {
        branch_head(ctx, &access.project, "target_branch", branch).await?;
    }
    let (id, now, shared, actor) = (request.id, ctx.now(), ctx.clone(), user.clone());
    let retargeted = change.target_branch.as_ref().is_some_and(|branch| *branch != request.target_branch);
    let reopened = change.reopen == Some(true) && request.state == MergeRequestState::Closed;
    let updated = ctx
        .db
        .write(move |tx| {
            let mut row = rows::find(tx, id)?.ok_or(Error::RecordNotFound)?;
            let before = row.clone();
            apply(&mut row, &change, actor.id, now);
            if row.state == MergeRequestState::Opened
                && (reopened || retargeted)
                && let Some(source) = row.source_project_id
            {
                let from = (source, row.source_branch.as_str());
                refuse_second(tx, &row.target_branch, row.target_project_id, from, Some(row.iid))?;
            }
            rows::update(tx, &row, now)?;
            row.updated_at = now;
            webhooks::request(tx, &shared, &actor, &row, RequestAction::Change(&before))?;
            Ok::<_, Error>(row)
        })
        .await?;
    ctx.bus.wake(Wake::Webhooks);
    if retargeted {
        rebase(ctx, &updated).await?;
    }
    let mut updated = find(ctx, &access.project, updated.iid).await?;
    if reopened {
        updated = pipelines::refresh(ctx, updated, None).await?;
        start_pipeline(ctx, user, &updated, Act::Reopen).await?;
    }
    Ok(updated)
}

fn apply(row: &mut MergeRequest, change: &Change, user: UserId, now: weir_api::Timestamp) {
    if let Some(title) = &change.title {
        row.title.clone_from(title);
    }
    if let Some(description) = &change.description {
        row.description = description.clone().filter(|text| !text.is_empty());
    }
    if let Some(assignee) = change.assignee_id {
        row.assignee_id = assignee;
    }
    if let Some(labels) = &change.labels {
        row.labels.clone_from(labels);
    }
    row.labels.extend(change.add_labels.iter().cloned());
    row.labels.retain(|label| !change.remove_labels.contains(label));
    row.labels.sort();
    row.labels.dedup();
    if let Some(remove) = change.remove_source_branch {
        row.remove_source_branch = remove;
    }
    if let Some(branch) = change.target_branch.as_ref().filter(|_| row.state == MergeRequestState::Opened) {
        row.target_branch.clone_from(branch);
    }
    match (change.reopen, row.state) {
        (Some(true), MergeRequestState::Closed) => {
            row.state = MergeRequestState::Opened;
            (row.closed_by, row.closed_at) = (None, None);
        }
        (Some(false), MergeRequestState::Opened) => {
            row.state = MergeRequestState::Closed;
            (row.closed_by, row.closed_at) = (Some(user), Some(now));
        }
        _ => {}
    }
}

/// Compares with another target branch.
async fn rebase(ctx: &Ctx, request: &MergeRequest) -> Result<()> {
    let repository = ctx.repositories.repository(request.target_project_id.0);
    let branch = BranchName::new(request.target_branch.as_str())?;
    let Some(into) = repository.read_ref(&branch.to_ref()).await? else { return Ok(()) };
    let base = repository.merge_base(&into, &ObjectId::new(request.sha.as_str())?).await?;
    let (id, sha, now) = (request.id, request.sha.clone(), ctx.now());
    let base = base.map(String::from);
    Ok(ctx.db.write(move |tx| rows::set_head(tx, id, &sha, base.as_deref(), now)).await?)
}

/// Deletes a merge request with its refs; its pipelines stay.
pub async fn delete(ctx: &Ctx, request: &MergeRequest) -> Result<()> {
    let id = request.id;
    ctx.db.write(move |tx| rows::delete(tx, id)).await?;
    let names = [RefName::merge_request_head(request.iid), RefName::merge_request_merge(request.iid)];
    let repository = ctx.repositories.repository(request.target_project_id.0);
    if let Err(error) = repository.delete_refs(&names).await {
        // The refs only keep commits alive.
        tracing::warn!(%error, request = request.id.0, "the refs of a deleted merge request stay");
    }
    Ok(())
}

/// The commits that a merge request brings, the newest first.
pub async fn commits(ctx: &Ctx, request: &MergeRequest) -> Result<Vec<Commit>> {
    let repository = ctx.repositories.repository(request.target_project_id.0);
    let head = ObjectId::new(request.sha.as_str())?;
    let Some(base) = &request.base_sha else { return Ok(Vec::new()) };
    Ok(repository.commits_between(&ObjectId::new(base.as_str())?, &head, MAX_COMMITS).await?)
}

/// The merge request of a pipeline, if it runs for one that is still there.
pub fn of_pipeline(tx: &mut Tx<'_>, pipeline: &Pipeline) -> Result<Option<RequestOf>> {
    let Some(id) = pipeline.merge_request_id else { return Ok(None) };
    let Some(mut request) = rows::find(tx, id)? else { return Ok(None) };
    // The variables tell of the commit that runs, not of what was pushed since.
    let merged = pipeline.merged.clone();
    request.sha.clone_from(merged.as_ref().map_or(&pipeline.sha, |merged| &merged.source_sha));
    Ok(Some(RequestOf { request, merged }))
}
