//! Statuses of commits: listed, and reported by other systems, whose jobs join a pipeline so.
//! Source: `app/services/ci/create_commit_status_service.rb`.

use serde_json::{Map, json};
use url::Url;
use weir_api::PipelineSource;
use weir_api::id::PipelineId;
use weir_compiler::Plan;
use weir_engine::external::{self, Report};
use weir_engine::trust::{Act, Rights};
use weir_engine::{Changes, Refused};
use weir_git::RefName;
use weir_store::commit_statuses::{self, Filter, Words};
use weir_store::jobs::{self, Job};
use weir_store::pipelines::{self, NewPipeline, Pipeline};
use weir_store::projects::{self, Project};
use weir_store::users::{self, User};
use weir_store::{Sort, Tx};

use super::access::Access;
use super::{changes, commits, trust};
use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

/// Characters of a name, a URL or a description.
const MAX_TEXT: usize = 255;
/// Jobs of a pipeline that others may add theirs to.
const MAX_JOBS: i64 = 10_000;

/// A status with what belongs to it.
#[derive(Debug, Clone)]
pub struct StatusDetails {
    /// The job, bridge or external job.
    pub job: Job,
    /// Its pipeline.
    pub pipeline: Pipeline,
    /// Who runs or reported it.
    pub author: Option<User>,
}

/// Which statuses of a commit are asked for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Only of this ref.
    pub ref_name: Option<String>,
    /// Only of this stage.
    pub stage: Option<String>,
    /// Only of this name.
    pub name: Option<String>,
    /// Only of this pipeline.
    pub pipeline_id: Option<PipelineId>,
    /// Earlier attempts, too.
    pub all: bool,
    /// Ordered by pipeline first.
    pub by_pipeline: bool,
    /// The direction of the order.
    pub sort: Sort,
}

/// A status that another system reports.
#[derive(Debug, Clone)]
pub struct NewStatus {
    /// The job's name.
    pub name: String,
    /// The status.
    pub report: Report,
    /// The branch or tag whose pipeline is meant.
    pub ref_name: Option<String>,
    /// The pipeline that is meant.
    pub pipeline_id: Option<PipelineId>,
    /// What else is said.
    pub words: Words,
}

/// One page of the statuses of a commit, and how many there are.
pub async fn list(
    ctx: &Ctx,
    project: &Project,
    revision: &str,
    asked: Asked,
    page: Page,
) -> Result<(Vec<StatusDetails>, u64)> {
    let commit = commits::resolve(ctx, project, revision).await?;
    let filter = Filter {
        project_id: project.id,
        sha: commit.id.to_string(),
        ref_name: asked.ref_name,
        stage: asked.stage,
        name: asked.name,
        pipeline_id: asked.pipeline_id,
        all: asked.all,
        by_pipeline: asked.by_pipeline,
        sort: asked.sort,
    };
    ctx.db
        .read(move |tx| {
            let found = commit_statuses::list(tx, &filter, page.rows())?;
            let total = commit_statuses::count(tx, &filter)?.unsigned_abs();
            Ok((details(tx, found)?, total))
        })
        .await
}

fn details(tx: &mut Tx<'_>, found: Vec<Job>) -> Result<Vec<StatusDetails>> {
    let mut pipelines: Vec<PipelineId> = found.iter().map(|job| job.pipeline_id).collect();
    pipelines.dedup();
    let pipelines = pipelines::find_all(tx, &pipelines)?;
    let mut users: Vec<_> = found.iter().filter_map(|job| job.user_id).collect();
    users.sort_unstable();
    users.dedup();
    let users = users::find_all(tx, &users)?;
    found
        .into_iter()
        .map(|job| {
            let pipeline = pipelines.iter().find(|it| it.id == job.pipeline_id).cloned();
            Ok(StatusDetails {
                pipeline: pipeline.ok_or(Error::RecordNotFound)?,
                author: users.iter().find(|it| Some(it.id) == job.user_id).cloned(),
                job,
            })
        })
        .collect()
}

/// Takes the status that another system reports: it moves the job that the caller has reported under this name and
/// that has not ended, or adds one, to the newest pipeline of the commit or to a new one without other jobs.
///
/// # Errors
/// 404 without commit, ref or pipeline; 403 where the caller may run nothing; 400 in GitLab's words for what is
/// invalid, and for a status that does not follow on the one before.
pub async fn report(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    revision: &str,
    new: NewStatus,
) -> Result<StatusDetails> {
    check(&new)?;
    let project = &access.project;
    let sha = commits::resolve(ctx, project, revision).await?.id.to_string();
    let found = {
        let (project, sha, new) = (project.id, sha.clone(), new.clone());
        ctx.db.read(move |tx| matching(tx, project, &sha, &new)).await?
    };
    let ref_name = match (&found, &new.ref_name) {
        (Some(pipeline), _) => pipeline.ref_name.clone(),
        (None, _) if new.pipeline_id.is_some() => {
            return Err(Error::NotFound("Pipeline for pipeline_id, sha and ref"));
        }
        (None, Some(name)) => name.clone(),
        (None, None) => branch_with(ctx, project, &sha).await?,
    };
    let protected = demand(ctx, access, &ref_name, found.as_ref()).await?;
    let fresh = NewPipeline {
        project_id: project.id,
        sha,
        before_sha: None,
        merge_request_id: None,
        merged: None,
        ref_name,
        tag: false,
        protected,
        source: PipelineSource::External,
        name: None,
        user_id: Some(user.id),
        yaml_errors: None,
        failure_reason: None,
        config_source: "unknown_source".to_owned(),
        upstream: None,
        on_new_commit: None,
        merged_yaml: None,
    };
    let (shared, user) = (ctx.clone(), user.id);
    let written = ctx.db.write(move |tx| write(tx, &shared, &fresh, &new, user)).await?;
    let Written { details, done, created } = written;
    let (pipeline, project) = (details.pipeline.id, project.id);
    if created {
        ctx.metrics.pipelines.inc();
        ctx.bus.wake(Wake::Pipeline(project, pipeline));
    }
    changes::announce(ctx, project, pipeline, &done);
    Ok(details)
}

struct Written {
    details: StatusDetails,
    done: pipelines::Transition,
    created: bool,
}

fn write(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    fresh: &NewPipeline,
    new: &NewStatus,
    user: weir_api::id::UserId,
) -> Result<Written> {
    let found = match matching(tx, fresh.project_id, &fresh.sha, new)? {
        Some(pipeline) => Some(pipeline),
        None => {
            // Of several first reports one makes the pipeline.
            projects::lock(tx, fresh.project_id)?;
            matching(tx, fresh.project_id, &fresh.sha, new)?
        }
    };
    let (id, created) = match found {
        Some(pipeline) => (pipeline.id, false),
        None => (create(tx, ctx, fresh)?, true),
    };
    // From here on the pipeline is locked: what is looked at stays so.
    let jobs = pipelines::peek(tx, &ctx.pipelines, id, |state, _| state.jobs.len())?;
    if commit_statuses::is_taken(tx, id, &new.name)? {
        return Err(Error::field("name", "has already been taken"));
    }
    let update = commit_statuses::unfinished(tx, id, &new.name, user)?;
    if update.is_none() && jobs.is_none_or(|jobs| i64::try_from(jobs).is_ok_and(|jobs| jobs >= MAX_JOBS)) {
        return Err(Error::Unacceptable("The number of jobs has exceeded the limit".into()));
    }
    let mut reported = None;
    let done = changes::transition_by(tx, ctx, id, |state, now| {
        let (job, changes) = external::report(state, &new.name, update, new.report, now)
            .map_err(|refused: Refused| Error::Invalid(refused.to_string().into()))?;
        reported = Some(job);
        Ok(changes)
    })?;
    let job = reported.ok_or_else(|| Error::internal("a report moved no job"))?;
    let job = changes::id_of(&done, job)?;
    commit_statuses::describe(tx, job, user, &new.words)?;
    let row = jobs::find(tx, job)?.ok_or(Error::RecordNotFound)?;
    let details = details(tx, vec![row])?.pop().ok_or(Error::RecordNotFound)?;
    Ok(Written { details, done, created })
}

/// A pipeline for external jobs alone.
fn create(tx: &mut Tx<'_>, ctx: &Ctx, new: &NewPipeline) -> Result<PipelineId> {
    let state = weir_engine::create(&Plan::default(), ctx.now());
    Ok(pipelines::insert(tx, new, &state, &[], &Changes::default(), ctx.now())?.id)
}

/// The newest pipeline of the commit, as far as the report names a ref or a pipeline.
fn matching(
    tx: &mut Tx<'_>,
    project: weir_api::id::ProjectId,
    sha: &str,
    new: &NewStatus,
) -> Result<Option<Pipeline>> {
    if let Some(id) = new.pipeline_id {
        let fits = |it: &Pipeline| {
            it.project_id == project
                && it.sha == sha
                && !it.upstream.is_some_and(|upstream| upstream.child)
                && new.ref_name.as_ref().is_none_or(|name| *name == it.ref_name)
        };
        return Ok(pipelines::find(tx, id)?.filter(fits));
    }
    Ok(match &new.ref_name {
        Some(name) => pipelines::latest(tx, project, name, Some(sha))?,
        None => pipelines::latest_of_commit(tx, project, sha)?,
    })
}

/// A branch that holds the commit.
async fn branch_with(ctx: &Ctx, project: &Project, sha: &str) -> Result<String> {
    let names = commits::refs(ctx, project, sha).await?;
    let branch = names.iter().find_map(RefName::branch).map(|branch| branch.to_string());
    branch.ok_or(Error::NotFound("References for commit"))
}

/// Demands that the caller may tell of jobs on the ref; whether they are protected.
async fn demand(ctx: &Ctx, access: &Access, name: &str, found: Option<&Pipeline>) -> Result<bool> {
    let names =
        ["heads", "tags"].into_iter().filter_map(|kind| RefName::new(format!("refs/{kind}/{name}")).ok());
    let (access, found, names) = (access.clone(), found.cloned(), names.collect::<Vec<_>>());
    let judged = ctx
        .db
        .read(move |tx| match &found {
            Some(pipeline) => Ok(vec![trust::ask_pipeline(tx, &access, pipeline, Act::Report)?]),
            None => {
                names.iter().map(|name| trust::ask_ref(tx, &access, name, Act::Report)).collect::<Result<_>>()
            }
        })
        .await?;
    let rights: std::result::Result<Vec<_>, _> = judged.into_iter().collect();
    Ok(rights.map_err(|_| Error::Forbidden(None))?.contains(&Rights::Protected))
}

/// Refuses what GitLab's records refuse.
fn check(new: &NewStatus) -> Result<()> {
    let mut complaints = Map::new();
    let mut complain = |field: &str, what: String| {
        complaints.insert(field.to_owned(), json!([what]));
    };
    let too_long = |text: &str| text.chars().count() > MAX_TEXT;
    let length = || format!("is too long (maximum is {MAX_TEXT} characters)");
    if too_long(&new.name) {
        complain("name", length());
    }
    if new.words.description.as_deref().is_some_and(too_long) {
        complain("description", length());
    }
    if let Some(url) = &new.words.target_url {
        if too_long(url) {
            complain("target_url", length());
        } else if let Some(why) = blocked(url) {
            complain("target_url", format!("is blocked: {why}"));
        }
    }
    if complaints.is_empty() { Ok(()) } else { Err(Error::Invalid(complaints.into())) }
}

/// Why an address is no link. Source: `lib/gitlab/url_blocker.rb`, as `AddressableUrlValidator` asks it.
fn blocked(url: &str) -> Option<&'static str> {
    match Url::parse(url) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => None,
        Ok(_) | Err(url::ParseError::RelativeUrlWithoutBase) => Some("Only allowed schemes are http, https"),
        Err(_) => Some("URI is invalid"),
    }
}
