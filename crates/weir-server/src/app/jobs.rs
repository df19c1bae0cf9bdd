//! Jobs: found with everything that the API shows of them, and changed.

use std::collections::HashMap;

use weir_api::JobStatus;
use weir_api::id::{JobId, PipelineId, ProjectId, TagSetId, UserId};
use weir_compiler::plan::When;
use weir_engine::trust::Act;
use weir_engine::{Event, Refused};
use weir_store::artifacts::{self, Artifact};
use weir_store::jobs::{self, Filter, Job};
use weir_store::pipelines::{self, Pipeline};
use weir_store::projects::{self, Project};
use weir_store::runners::{self, Runner, RunnerManager};
use weir_store::traces::{self, Trace};
use weir_store::users::{self, User};
use weir_store::{Tx, tag_sets, variables};

use super::access::{self, Access};
use super::pipelines::{NewVariable, seal};
use super::{changes, commits, environments};
use crate::auth::{Action, Caller};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

/// A job with what belongs to it.
#[derive(Debug, Clone)]
pub struct JobDetails {
    /// The job.
    pub job: Job,
    /// Its project.
    pub project: Project,
    /// Its pipeline.
    pub pipeline: Pipeline,
    /// Who runs it.
    pub user: Option<User>,
    /// Who has or had it.
    pub runner: Option<Runner>,
    /// Which process of the runner.
    pub manager: Option<RunnerManager>,
    /// Its files.
    pub artifacts: Vec<Artifact>,
    /// Its trace.
    pub trace: Option<Trace>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its commit.
    pub commit: Option<weir_api::commits::Commit>,
    /// The pipeline that it started, if it is a bridge and the caller may see that, with its project.
    pub downstream: Option<(Project, Pipeline)>,
}

/// The row of a job of a project; bridges count as missing.
pub fn row(tx: &mut Tx<'_>, project: ProjectId, id: JobId) -> Result<Job> {
    any_row(tx, project, id).and_then(|job| if job.bridge { Err(Error::RecordNotFound) } else { Ok(job) })
}

/// The row of a job or bridge of a project; external jobs count as missing.
pub fn any_row(tx: &mut Tx<'_>, project: ProjectId, id: JobId) -> Result<Job> {
    jobs::find(tx, id)?.filter(|job| job.project_id == project && !job.external).ok_or(Error::RecordNotFound)
}

/// Gathers what belongs to rows, with one query for each kind.
pub(super) async fn details(ctx: &Ctx, project: &Project, rows: Vec<Job>) -> Result<Vec<JobDetails>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let (project, shared) = (project.clone(), project.clone());
    let mut found = ctx.db.read(move |tx| gather(tx, &project, rows)).await?;
    for details in &mut found {
        details.commit = commits::cached(ctx, &shared, &details.pipeline.sha).await;
    }
    Ok(found)
}

fn gather(tx: &mut Tx<'_>, project: &Project, rows: Vec<Job>) -> weir_store::Result<Vec<JobDetails>> {
    fn unique<T: Ord + Copy>(ids: impl Iterator<Item = T>) -> Vec<T> {
        let mut ids: Vec<T> = ids.collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
    let ids: Vec<JobId> = rows.iter().map(|job| job.id).collect();
    let pipelines = pipelines::find_all(tx, &unique(rows.iter().map(|job| job.pipeline_id)))?;
    let users = users::find_all(tx, &unique(rows.iter().filter_map(|job| job.user_id)))?;
    let runners = runners::find_all(tx, &unique(rows.iter().filter_map(|job| job.runner_id)))?;
    let managers = runners::find_managers(tx, &unique(rows.iter().filter_map(|job| job.runner_manager_id)))?;
    let artifacts = artifacts::of_jobs(tx, &ids)?;
    let traces = traces::find_all(tx, &ids)?;
    let tags: HashMap<TagSetId, Vec<String>> =
        tag_sets::find_all(tx, &unique(rows.iter().map(|job| job.tag_set_id)))?;
    rows.into_iter()
        .map(|job| {
            let pipeline = pipelines.iter().find(|it| it.id == job.pipeline_id).cloned();
            Ok(JobDetails {
                pipeline: pipeline.ok_or(weir_store::Error::NoRow)?,
                user: users.iter().find(|it| Some(it.id) == job.user_id).cloned(),
                runner: runners.iter().find(|it| Some(it.id) == job.runner_id).cloned(),
                manager: managers.iter().find(|it| Some(it.id) == job.runner_manager_id).cloned(),
                artifacts: artifacts.iter().filter(|it| it.job_id == job.id).cloned().collect(),
                trace: traces.iter().find(|it| it.job_id == job.id).cloned(),
                tags: tags.get(&job.tag_set_id).cloned().unwrap_or_default(),
                commit: None,
                downstream: None,
                project: project.clone(),
                job,
            })
        })
        .collect()
}

/// One page of a project's jobs, the newest first, retried ones included; and whether another page follows.
pub async fn list(
    ctx: &Ctx,
    access: &Access,
    scope: Vec<JobStatus>,
    page: Page,
) -> Result<(Vec<JobDetails>, bool)> {
    list_before(ctx, access, scope, None, page).await
}

/// The same, of the jobs with a smaller id.
pub async fn list_before(
    ctx: &Ctx,
    access: &Access,
    scope: Vec<JobStatus>,
    before: Option<JobId>,
    page: Page,
) -> Result<(Vec<JobDetails>, bool)> {
    let filter = Filter {
        project_id: Some(access.project.id),
        scope,
        bridge: Some(false),
        id_before: before,
        ..Filter::default()
    };
    let mut rows = ctx.db.read(move |tx| jobs::list(tx, &filter, page.rows_and_one())).await?;
    let size = usize::try_from(page.per_page).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    Ok((details(ctx, &access.project, rows).await?, more))
}

/// One page of a pipeline's jobs, the newest first, and how many there are.
pub async fn list_of_pipeline(
    ctx: &Ctx,
    access: &Access,
    pipeline: PipelineId,
    scope: Vec<JobStatus>,
    retried: bool,
    page: Page,
) -> Result<(Vec<JobDetails>, u64)> {
    of_pipeline(ctx, access, pipeline, scope, retried, false, page).await
}

/// Adds the pipelines that bridges started, as far as the user sees them.
async fn add_downstream(ctx: &Ctx, user: Option<&User>, found: &mut [JobDetails]) -> Result<()> {
    let ids: Vec<JobId> = found.iter().filter(|it| it.job.bridge).map(|it| it.job.id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let (user, now) = (user.cloned(), ctx.now());
    let below = ctx
        .db
        .read(move |tx| {
            let mut seen = Vec::new();
            for pipeline in pipelines::downstream_of_jobs(tx, &ids)? {
                let Some(project) = projects::find(tx, pipeline.project_id)? else { continue };
                if access::standing(tx, user.as_ref(), &project, now)?.may(Action::ReadPipelines) {
                    seen.push((project, pipeline));
                }
            }
            Ok::<_, Error>(seen)
        })
        .await?;
    for (project, pipeline) in below {
        let bridge = pipeline.upstream.map(|upstream| upstream.job_id);
        if let Some(details) = found.iter_mut().find(|it| Some(it.job.id) == bridge) {
            details.downstream = Some((project, pipeline));
        }
    }
    Ok(())
}

/// One page of a pipeline's bridges, and how many there are.
pub async fn bridges_of_pipeline(
    ctx: &Ctx,
    access: &Access,
    user: Option<&User>,
    pipeline: PipelineId,
    scope: Vec<JobStatus>,
    page: Page,
) -> Result<(Vec<JobDetails>, u64)> {
    let (mut found, total) = of_pipeline(ctx, access, pipeline, scope, false, true, page).await?;
    add_downstream(ctx, user, &mut found).await?;
    Ok((found, total))
}

async fn of_pipeline(
    ctx: &Ctx,
    access: &Access,
    pipeline: PipelineId,
    scope: Vec<JobStatus>,
    retried: bool,
    bridge: bool,
    page: Page,
) -> Result<(Vec<JobDetails>, u64)> {
    let project = access.project.id;
    let filter = Filter {
        pipeline_id: Some(pipeline),
        scope,
        bridge: Some(bridge),
        latest_only: !retried,
        ..Filter::default()
    };
    let (rows, total) = ctx
        .db
        .read(move |tx| {
            super::pipelines::row(tx, project, pipeline)?;
            Ok::<_, Error>((jobs::list(tx, &filter, page.rows())?, jobs::count(tx, &filter)?.unsigned_abs()))
        })
        .await?;
    Ok((details(ctx, &access.project, rows).await?, total))
}

/// One job.
pub async fn find(ctx: &Ctx, access: &Access, id: JobId) -> Result<JobDetails> {
    let project = access.project.id;
    let job = ctx.db.read(move |tx| row(tx, project, id)).await?;
    one(ctx, access, job).await
}

/// The jobs and bridges of these ids that the project has, in their order.
pub async fn find_all(ctx: &Ctx, access: &Access, ids: Vec<JobId>) -> Result<Vec<JobDetails>> {
    let project = access.project.id;
    let rows = ctx
        .db
        .read(move |tx| {
            let found = jobs::find_all(tx, &ids)?;
            let in_order = ids.iter().filter_map(|id| found.iter().find(|job| job.id == *id));
            Ok::<_, Error>(in_order.filter(|job| job.project_id == project).cloned().collect())
        })
        .await?;
    details(ctx, &access.project, rows).await
}

async fn find_any(ctx: &Ctx, access: &Access, user: &User, id: JobId) -> Result<JobDetails> {
    let project = access.project.id;
    let job = ctx.db.read(move |tx| any_row(tx, project, id)).await?;
    let mut found = one(ctx, access, job).await?;
    add_downstream(ctx, Some(user), std::slice::from_mut(&mut found)).await?;
    Ok(found)
}

async fn one(ctx: &Ctx, access: &Access, job: Job) -> Result<JobDetails> {
    let found = details(ctx, &access.project, vec![job]).await?;
    found.into_iter().next().ok_or(Error::RecordNotFound)
}

/// The job that a job token belongs to.
///
/// # Errors
/// 401 without credentials, 404 with those of a user.
pub async fn of_token(ctx: &Ctx, caller: &Caller) -> Result<JobDetails> {
    let Caller::Job { job, user } = caller else {
        return Err(if caller.user().is_some() { Error::NotFound("Job") } else { Error::Unauthorized });
    };
    let (id, user, now) = (job.project_id, user.clone(), ctx.now());
    let access = ctx
        .db
        .read(move |tx| access::find_project(tx, Some(&user), &id.to_string(), now))
        .await?
        .ok_or(Error::NotFound("Project"))?;
    one(ctx, &access, (**job).clone()).await
}

/// Applies an event to a job of the project, and lets `more` write what goes with it. Returns the id of the job
/// that the event made, or of the job itself.
async fn change(
    ctx: &Ctx,
    access: &Access,
    id: JobId,
    event: impl Fn(&Job) -> Event + Send + 'static,
    refused: impl Fn(Refused) -> Error + Send + Copy + 'static,
    for_user: Option<UserId>,
    more: impl Fn(&mut Tx<'_>, &Job, JobId) -> Result<()> + Send + 'static,
) -> Result<JobId> {
    let (project, shared) = (access.project.id, ctx.clone());
    let (pipeline, done, result) = ctx
        .db
        .write(move |tx| {
            let job = any_row(tx, project, id)?;
            let done = changes::transition(tx, &shared, job.pipeline_id, event(&job), refused)?;
            // New rows are appended, so the last id is the newest; a retry makes exactly one of this name.
            let mut result = id;
            for index in done.changes.jobs.iter().rev() {
                let other = changes::id_of(&done, *index)?;
                if other > id && jobs::find(tx, other)?.is_some_and(|it| it.retry_of == Some(job.index)) {
                    result = other;
                }
            }
            if let Some(user) = for_user {
                changes::on_behalf(tx, &shared, job.pipeline_id, &done, user)?;
                changes::set_user(tx, &[result], user)?;
            }
            more(tx, &job, result)?;
            Ok::<_, Error>((job.pipeline_id, done, result))
        })
        .await?;
    changes::announce(ctx, project, pipeline, &done);
    Ok(result)
}

/// A job is changed only by those who may do this to its pipeline;
/// one whose deployment was overtaken is changed by nobody (`app/policies/ci/deployable_policy.rb`).
async fn demand_ref(ctx: &Ctx, access: &Access, id: JobId, act: Act) -> Result<Job> {
    let project = access.project.id;
    let (job, pipeline) = ctx
        .db
        .read(move |tx| {
            let job = any_row(tx, project, id)?;
            let pipeline = super::pipelines::row(tx, project, job.pipeline_id)?;
            if job.environment.is_some() && environments::is_outdated(tx, &job)? {
                return Err(Error::Forbidden(None));
            }
            Ok::<_, Error>((job, pipeline))
        })
        .await?;
    super::trust::demand(ctx, access, &pipeline, act).await?;
    Ok(job)
}

/// Cancels a job. One that has ended stays as it is.
pub async fn cancel(ctx: &Ctx, access: &Access, id: JobId, force: bool) -> Result<JobDetails> {
    let job = demand_ref(ctx, access, id, Act::Cancel).await?;
    if job.bridge {
        return Err(Error::RecordNotFound);
    }
    let event = move |job: &Job| Event::Cancel { job: job.index, force };
    match change(ctx, access, id, event, |_| Error::PreconditionFailed, None, |_, _, _| Ok(())).await {
        Ok(_) | Err(Error::PreconditionFailed) => find(ctx, access, id).await,
        Err(error) => Err(error),
    }
}

/// Retries a job: a new one of the same name.
pub async fn retry(ctx: &Ctx, access: &Access, user: &User, id: JobId) -> Result<JobDetails> {
    demand_ref(ctx, access, id, Act::Retry).await?;
    let new = change(
        ctx,
        access,
        id,
        |job| Event::Retry { job: job.index },
        |_| Error::forbidden("Job is not retryable"),
        Some(user.id),
        |_, _, _| Ok(()),
    )
    .await?;
    find_any(ctx, access, user, new).await
}

/// Starts a manual or delayed job, with variables.
pub async fn play(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    id: JobId,
    given: Vec<NewVariable>,
) -> Result<JobDetails> {
    let job = demand_ref(ctx, access, id, Act::Play).await?;
    let definition = ctx.db.read(move |tx| jobs::definition(tx, &job)).await?;
    if !matches!(definition.when, When::Manual | When::Delayed) {
        return Err(Error::BadRequest("Unplayable Job".to_owned()));
    }
    super::protection::demand_variables(access, &given)?;
    let given = seal(ctx, &given)?;
    let played = change(
        ctx,
        access,
        id,
        |job| Event::Play { job: job.index },
        |_| Error::BadRequest("Unplayable Job".to_owned()),
        Some(user.id),
        move |tx, _, played| {
            if !given.is_empty() {
                variables::set_for_job(tx, played, &given)?;
            }
            Ok(())
        },
    )
    .await?;
    find_any(ctx, access, user, played).await
}

/// Lets a delayed job wait for a person instead. Source: `app/services/ci/build_unschedule_service.rb`.
///
/// # Errors
/// 400 if it is not delayed, or its time has come.
pub async fn unschedule(ctx: &Ctx, access: &Access, user: &User, id: JobId) -> Result<JobDetails> {
    demand_ref(ctx, access, id, Act::Cancel).await?;
    let refused = |_| Error::BadRequest("Job is not scheduled".to_owned());
    change(ctx, access, id, |job| Event::Unschedule { job: job.index }, refused, None, |_, _, _| Ok(()))
        .await?;
    find_any(ctx, access, user, id).await
}

/// Erases a job's trace and artifacts. A Developer may erase what they started on a ref that is not protected.
pub async fn erase(ctx: &Ctx, access: &Access, user: &User, id: JobId) -> Result<JobDetails> {
    let job = demand_ref(ctx, access, id, Act::Cancel).await?;
    if job.bridge {
        return Err(Error::RecordNotFound);
    }
    if job.user_id != Some(user.id) || job.protected {
        access.standing.demand(Action::EraseJob)?;
    }
    let user = user.id;
    change(
        ctx,
        access,
        id,
        |job| Event::Erase { job: job.index },
        |_| Error::forbidden("Job is not erasable!"),
        None,
        move |tx, job, _| Ok(jobs::set_erased_by(tx, job.id, Some(user))?),
    )
    .await?;
    find(ctx, access, id).await
}
