//! Downstream pipelines: created by bridges, followed by them, and canceled with their parents.
//!
//! Sources: `app/services/ci/create_downstream_pipeline_service.rb`, `app/models/ci/bridge.rb`,
//! `app/services/ci/pipeline_bridge_status_service.rb`, `app/services/ci/cancel_pipeline_service.rb`.

use weir_api::id::{JobId, PipelineId, UserId};
use weir_api::{FailureReason, JobStatus, PipelineSource, UserState, VariableType};
use weir_compiler::plan::{self, Strategy, Trigger};
use weir_compiler::vars::{Level, References, Variable, Variables, expand, forward};
use weir_engine::trust::Act;
use weir_engine::{Event, Outcome};
use weir_git::{ObjectId, RefName};
use weir_store::jobs::{self, Job};
use weir_store::pipelines::{self, Pipeline, Transition, Upstream};
use weir_store::variables::Owner;
use weir_store::{Tx, job_messages};

use super::access::{self, Access};
use super::payloads::{self, Rows};
use super::pipelines::{self as creation, ByBridge, NewVariable, Origin, Start};
use super::{changes, commits, facts, protection, trust};
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// A child pipeline may have children, and those none.
const MAX_NESTED_CHILDREN: usize = 2;
/// Pipelines that one may start, with those that these start. Source: the limit `pipeline_hierarchy_size`.
const MAX_HIERARCHY: usize = 1000;
/// A project, ref and source may come so often in the line of upstreams.
const MAX_CYCLES: usize = 2;

/// Why a bridge gets no downstream pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    reason: FailureReason,
    /// What is wrong with the downstream pipeline.
    messages: Vec<String>,
}

impl Refusal {
    /// The downstream pipeline cannot be created.
    fn creation(message: impl Into<String>) -> Self {
        Self { reason: FailureReason::DownstreamPipelineCreationFailed, messages: vec![message.into()] }
    }
}

impl From<FailureReason> for Refusal {
    fn from(reason: FailureReason) -> Self {
        Self { reason, messages: Vec::new() }
    }
}

/// Creates the downstream pipeline of a pending bridge, or fails the bridge. A bridge that has one keeps it: one that
/// was skipped with it may wait again, and would wait for ever if nobody told it what its pipeline came to.
pub async fn create(ctx: &Ctx, bridge: JobId) -> Result<()> {
    let shared = ctx.clone();
    let waiting = ctx
        .db
        .read(move |tx| {
            let Some(job) = jobs::find(tx, bridge)?.filter(|it| it.bridge && it.status == JobStatus::Pending)
            else {
                return Ok(None);
            };
            if let Some(downstream) = pipelines::downstream_of_jobs(tx, &[bridge])?.first() {
                return Ok(Some(Err(downstream.id)));
            }
            let rows = payloads::gather(tx, &shared, &job)?;
            Ok::<_, Error>(Some(Ok((job, rows))))
        })
        .await?;
    let (job, rows) = match waiting {
        Some(Ok(waiting)) => waiting,
        Some(Err(downstream)) => return follow(ctx, downstream).await,
        None => return Ok(()),
    };
    let refusal = match prepare(ctx, &job, &rows).await? {
        Err(refusal) => refusal,
        Ok((access, start)) => match creation::create(ctx, &access, &rows.user, start).await {
            // The bridge went on, or another attempt was faster: there is nothing left to do.
            Ok(_) | Err(Error::Conflict(_)) => return Ok(()),
            Err(error @ Error::Internal(_)) => return Err(error),
            Err(refused) => Refusal::creation(refused.reason()),
        },
    };
    refuse(ctx, bridge, &refusal).await
}

/// Where and how the downstream pipeline is to be made.
async fn prepare(ctx: &Ctx, job: &Job, rows: &Rows) -> Result<Result<(Access, Start), Refusal>> {
    let plan::Action::Trigger(trigger) = &rows.definition.action else {
        return Err(Error::internal("a job that triggers nothing is no bridge"));
    };
    let commit = commits::find(ctx, &rows.project, &rows.pipeline.sha).await?;
    let mut all = payloads::scoped(ctx, job, rows, &commit, |_| true)?;
    let child = trigger.project.is_none();
    let path = match &trigger.project {
        Some(project) => expand(project, References::Blank, |name| all.get(name)),
        None => rows.project.full_path.clone(),
    };
    let access = match check(ctx, rows, &path, child).await? {
        Ok(access) => access,
        Err(reason) => return Ok(Err(reason.into())),
    };
    let (name, commit) = if child {
        let name = protection::full_name(&rows.pipeline);
        let name = name.ok_or_else(|| Error::internal("a parent pipeline has no ref"))?;
        (name, ObjectId::new(&rows.pipeline.sha).map_err(weir_git::Error::from)?)
    } else {
        let branch =
            trigger.branch.as_deref().map(|text| expand(text, References::Blank, |name| all.get(name)));
        match target(ctx, &access, branch).await? {
            Some(target) => target,
            None => return Ok(Err(Refusal::creation("Reference not found"))),
        }
    };
    if let Some(reason) = refused(ctx, job, rows, &access, &name, child).await? {
        return Ok(Err(reason.into()));
    }
    if !child {
        // Protected values stay with those for whom they were stored.
        let there = &access.project;
        let shared = |owner| match owner {
            Owner::Instance => true,
            Owner::Group(_) => rows.project.namespace_id == there.namespace_id,
            Owner::Project(_) => rows.project.id == there.id,
        };
        let commit = commits::find(ctx, &rows.project, &rows.pipeline.sha).await?;
        all = payloads::scoped(ctx, job, rows, &commit, shared)?;
    }
    let start = Start {
        source: if child { PipelineSource::ParentPipeline } else { PipelineSource::Pipeline },
        origin: Origin::Upstream(ByBridge {
            bridge: Upstream {
                job_id: job.id,
                pipeline_id: rows.pipeline.id,
                project_id: rows.project.id,
                child,
            },
            strategy: trigger.strategy,
            before: rows.pipeline.before_sha.clone().filter(|_| child),
        }),
        name,
        commit,
        variables: variables(ctx, rows, trigger, all)?,
        inputs: trigger.inputs.clone(),
        config: child.then(|| serde_json::json!({ "include": trigger.include }).to_string()),
    };
    Ok(Ok((access, start)))
}

/// The downstream project, if the bridge's user sees it and the pipeline may have this downstream.
async fn check(ctx: &Ctx, rows: &Rows, path: &str, child: bool) -> Result<Result<Access, FailureReason>> {
    let (user, path, now) = (rows.user.clone(), path.to_owned(), ctx.now());
    let (project, pipeline) = (rows.project.id, rows.pipeline.id);
    ctx.db
        .read(move |tx| {
            // A number is no path here.
            let found = access::find_project(tx, Some(&user), &path, now)?
                .filter(|it| {
                    it.project.full_path.eq_ignore_ascii_case(&path) && it.standing.sees_the_project()
                })
                .filter(|_| user.state == UserState::Active);
            let Some(access) = found else {
                return Ok(Err(FailureReason::DownstreamBridgeProjectNotFound));
            };
            if access.project.id == project && !child {
                return Ok(Err(FailureReason::InvalidBridgeTrigger));
            }
            let upstreams = pipelines::self_and_upstreams(tx, pipeline)?;
            if child && nesting(&upstreams) > MAX_NESTED_CHILDREN {
                return Ok(Err(FailureReason::ReachedMaxDescendantPipelinesDepth));
            }
            let root = upstreams.last().map_or(pipeline, |root| root.id);
            if pipelines::self_and_descendants(tx, root, false, MAX_HIERARCHY)?.len() >= MAX_HIERARCHY {
                return Ok(Err(FailureReason::ReachedMaxPipelineHierarchySize));
            }
            Ok::<_, Error>(Ok(access))
        })
        .await
}

/// How many pipelines of one project are above a child to be: the parent, its parent if it is a child, and so on.
fn nesting(upstreams: &[Pipeline]) -> usize {
    let children = upstreams.iter().take_while(|it| it.upstream.is_some_and(|upstream| upstream.child));
    children.count() + 1
}

/// Why the bridge's user may not have this pipeline, or why nobody may.
async fn refused(
    ctx: &Ctx,
    bridge: &Job,
    rows: &Rows,
    there: &Access,
    name: &RefName,
    child: bool,
) -> Result<Option<FailureReason>> {
    let (user, project, pipeline) = (rows.user.clone(), rows.project.clone(), rows.pipeline.clone());
    let (bridge, there, name, now) = (bridge.clone(), there.clone(), name.clone(), ctx.now());
    ctx.db
        .read(move |tx| {
            let here = access::standing(tx, Some(&user), &project, now)?;
            // A child is the commit of its parent, whatever that has for a ref.
            let judged = if child {
                trust::ask_pipeline(tx, &there, &pipeline, Act::Upstream)?
            } else {
                trust::ask_ref(tx, &there, &name, Act::Upstream)?
            };
            if !here.may(Action::UpdatePipeline)
                || !there.standing.may(Action::CreatePipeline)
                || judged.is_err()
                || !trust::lets_claim(tx, &bridge)?
            {
                return Ok(Some(FailureReason::InsufficientBridgePermissions));
            }
            let upstreams = pipelines::self_and_upstreams(tx, pipeline.id)?;
            Ok::<_, Error>((!child && cycles(&upstreams)).then_some(FailureReason::PipelineLoopDetected))
        })
        .await
}

/// Whether the line of upstreams runs in circles; children are part of their parents.
fn cycles(upstreams: &[Pipeline]) -> bool {
    let mut seen = std::collections::HashMap::new();
    let mut own = upstreams.iter().filter(|it| !it.upstream.is_some_and(|upstream| upstream.child));
    own.any(|it| {
        let count = seen.entry((it.project_id, &it.ref_name, it.source)).or_insert(0_usize);
        *count += 1;
        *count > MAX_CYCLES
    })
}

/// The branch or tag of another project, the default branch unless one is named; none if it does not exist.
async fn target(ctx: &Ctx, access: &Access, branch: Option<String>) -> Result<Option<(RefName, ObjectId)>> {
    let Some(branch) = branch.or_else(|| access.project.default_branch.clone()) else { return Ok(None) };
    match commits::repository(ctx, &access.project).resolve_ref(&branch).await {
        Ok(resolved) => Ok(resolved.and_then(|it| Some((it.name?, it.commit)))),
        Err(weir_git::Error::NoRepository | weir_git::Error::AmbiguousRef) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The variables that the bridge gives along. Source: `lib/gitlab/ci/variables/downstream/generator.rb`.
fn variables(ctx: &Ctx, rows: &Rows, trigger: &Trigger, mut all: Variables) -> Result<Vec<NewVariable>> {
    let (id, path) = (rows.pipeline.id, &rows.project.full_path);
    all.push(Level::Final, Variable::public("CI_PIPELINE_ID", id.to_string()));
    let url = ctx.url(&format!("/{path}/-/pipelines/{id}"));
    all.push(Level::Final, Variable::public("CI_PIPELINE_URL", url));
    let mut forwarded: Vec<Variable> = Vec::new();
    if trigger.forward_yaml_variables {
        forwarded.extend(rows.definition.variables.iter().map(Variable::from));
    }
    if trigger.forward_pipeline_variables {
        for given in &rows.given {
            forwarded.push(facts::given(ctx, given)?);
        }
    }
    // Whoever gave the bridge variables meant them for its downstream pipeline.
    for given in &rows.played {
        forwarded.push(facts::given(ctx, given)?);
    }
    let new = |variable: Variable| NewVariable {
        value: variable.text().to_owned(),
        variable_type: if variable.file { VariableType::File } else { VariableType::EnvVar },
        raw: variable.raw,
        key: variable.key,
    };
    Ok(forward(&forwarded, &all).into_iter().map(new).collect())
}

/// Tells the bridge in this transaction that its downstream pipeline is made, or was kept as a failed one.
///
/// # Errors
/// 409 if the bridge went on without one.
pub fn report(tx: &mut Tx<'_>, ctx: &Ctx, by: &ByBridge, failed: bool) -> Result<Transition> {
    let gone = || Error::Conflict("the bridge went on without a downstream pipeline".to_owned());
    let (pipeline, job) = jobs::locate(tx, by.bridge.job_id)?.ok_or_else(gone)?;
    let event = if failed {
        let reason = FailureReason::DownstreamPipelineCreationFailed;
        Event::Finished { job, outcome: Outcome::Failed { reason, exit_code: None } }
    } else {
        Event::DownstreamCreated { job, strategy: by.strategy }
    };
    changes::transition(tx, ctx, pipeline, event, |_| gone())
}

/// Fails a bridge that gets no downstream pipeline.
pub async fn fail(ctx: &Ctx, bridge: JobId, reason: FailureReason) -> Result<()> {
    refuse(ctx, bridge, &reason.into()).await
}

async fn refuse(ctx: &Ctx, bridge: JobId, refusal: &Refusal) -> Result<()> {
    let Refusal { reason, messages } = refusal.clone();
    let outcome = Outcome::Failed { reason, exit_code: None };
    send(ctx, bridge, Some(messages), None, move |_, job| {
        Ok(Some(Event::Finished { job: job.index, outcome }))
    })
    .await
}

/// Sends an event to a bridge, on behalf of a user if there is one, decided in the transaction, with the bridge's
/// pipeline locked. One that does not fit
/// any more is dropped.
async fn send(
    ctx: &Ctx,
    bridge: JobId,
    messages: Option<Vec<String>>,
    user: Option<UserId>,
    event: impl Fn(&mut Tx<'_>, &Job) -> Result<Option<Event>> + Send + 'static,
) -> Result<()> {
    let shared = ctx.clone();
    let done = ctx
        .db
        .write(move |tx| {
            let (pipeline, _) = jobs::locate(tx, bridge)?.ok_or(Error::RecordNotFound)?;
            pipelines::peek(tx, &shared.pipelines, pipeline, |_, _| ())?;
            let job = jobs::find(tx, bridge)?.ok_or(Error::RecordNotFound)?;
            let event = event(tx, &job)?.ok_or(Error::RecordNotFound)?;
            let done = changes::transition(tx, &shared, pipeline, event, |_| Error::RecordNotFound)?;
            if let Some(user) = user {
                changes::on_behalf(tx, &shared, pipeline, &done, user)?;
                changes::set_user(tx, &[bridge], user)?;
            }
            if let Some(messages) = &messages {
                job_messages::add(tx, bridge, messages)?;
            }
            Ok::<_, Error>((job, done))
        })
        .await;
    match done {
        Ok((job, done)) => changes::announce(ctx, job.project_id, job.pipeline_id, &done),
        // It is gone, or went on.
        Err(Error::RecordNotFound) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// The bridge that waits for a pipeline, with its strategy.
fn waiting(tx: &mut Tx<'_>, pipeline: PipelineId) -> Result<Option<(JobId, Strategy)>> {
    let upstream = pipelines::find(tx, pipeline)?.and_then(|it| it.upstream);
    let Some(bridge) = upstream.map(|it| jobs::find(tx, it.job_id)).transpose()?.flatten() else {
        return Ok(None);
    };
    Ok(match jobs::definition(tx, &bridge)?.action {
        plan::Action::Trigger(trigger) => trigger.strategy.map(|strategy| (bridge.id, strategy)),
        plan::Action::Run(_) => None,
    })
}

/// Tells the bridge above a pipeline the pipeline's status, if it waits for it.
pub async fn follow(ctx: &Ctx, pipeline: PipelineId) -> Result<()> {
    let Some((bridge, strategy)) = ctx.db.read(move |tx| waiting(tx, pipeline)).await? else { return Ok(()) };
    send(ctx, bridge, None, None, move |tx, job| {
        // The status of now, whatever it was when the task was left.
        let found = pipelines::find(tx, pipeline)?;
        Ok(found.map(|it| Event::DownstreamStatus { job: job.index, status: it.status, strategy }))
    })
    .await
}

/// Tells the bridge above a pipeline that the pipeline goes on after its end, if it waits for it and the user who
/// lets the pipeline go on may change the bridge's too. What goes on there is the user's then.
/// Source: `Pipeline#reset_source_bridge!`.
pub async fn restart(ctx: &Ctx, pipeline: PipelineId, user: UserId) -> Result<()> {
    let Some((bridge, _)) = ctx.db.read(move |tx| waiting(tx, pipeline)).await? else { return Ok(()) };
    let now = ctx.now();
    send(ctx, bridge, None, Some(user), move |tx, job| {
        let may = trust::lets_user(tx, Some(user), job.pipeline_id, Act::Retry, now)?;
        Ok(may.then_some(Event::DownstreamRestarted { job: job.index }))
    })
    .await?;
    // It may have come to its end again meanwhile.
    follow(ctx, pipeline).await
}

/// Cancels the child pipelines of a pipeline; each does so with its own.
pub async fn cancel_children(ctx: &Ctx, pipeline: PipelineId) -> Result<()> {
    let below = ctx.db.read(move |tx| pipelines::downstream(tx, pipeline)).await?;
    for child in below.into_iter().filter(|it| it.upstream.is_some_and(|upstream| upstream.child)) {
        let (shared, id) = (ctx.clone(), child.id);
        let event = Event::CancelPipeline { cascade: true };
        let done = ctx
            .db
            .write(move |tx| changes::transition(tx, &shared, id, event, |_| Error::RecordNotFound))
            .await;
        match done {
            Ok(done) => changes::announce(ctx, child.project_id, id, &done),
            Err(Error::RecordNotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
