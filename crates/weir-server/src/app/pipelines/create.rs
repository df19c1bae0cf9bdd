//! From a ref and a reason to a pipeline with its jobs in the queue.
//! Source of the order of checks: `lib/gitlab/ci/pipeline/chain/`.

use std::collections::HashSet;
use std::sync::Arc;

use weir_api::commits::Commit;
use weir_api::id::{PipelineId, PushId, TriggerId};
use weir_api::{AccessLevel, FailureReason, FeatureAccess, JobStatus, PipelineSource, VariableType};
use weir_compiler::diagnostic::Severity;
use weir_compiler::plan::Strategy;
use weir_compiler::{Diagnostic, Plan, Refusal};
use weir_engine::trust::{self as decision, Act, Rights};
use weir_engine::{Changes, Effect, Event, PipelineState};
use weir_git::{ObjectId, RefName};
use weir_store::pipelines::{self, Inserted, NewPipeline, Upstream};
use weir_store::users::User;
use weir_store::variables::{GivenVariable, insert_for_pipeline};
use weir_store::{Tx, pipeline_schedules, pushes, triggers};

use super::compile::compile;
use super::{PipelineDetails, redundant};
use crate::app::access::Access;
use crate::app::merge_requests::{self, RequestOf};
use crate::app::pipeline_schedules::run::Scheduled;
use crate::app::{changes, commits, downstream, environments, facts, trust, webhooks};
use crate::auth::Action;
use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// A variable given with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVariable {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
    /// How it reaches a job.
    pub variable_type: VariableType,
    /// Whether `$` in its value is left alone.
    pub raw: bool,
}

/// Why a pipeline is created, and what goes with that.
#[derive(Debug, Clone)]
pub enum Origin {
    /// Somebody asked for it: what stands in the way is told, and nothing is kept.
    Asked,
    /// A push: what stands in the way is kept with a failed pipeline. The push is done with the pipeline.
    Pushed {
        /// The recorded push, which this pipeline answers.
        push: Option<PushId>,
        /// The commit before it.
        before: Option<String>,
        /// The push option `ci.skip`.
        skip: bool,
    },
    /// A merge request: asked for by somebody, or by what happened to it.
    Request(Box<Requested>),
    /// A token asked for it: what stands in the way is told, and a wrong configuration is kept, too.
    Triggered {
        /// The trigger; none for a job's token.
        trigger: Option<TriggerId>,
    },
    /// A schedule, run or played: what stands in the way is told, and a wrong configuration is kept, too.
    Scheduled(Box<Scheduled>),
    /// A bridge: what stands in the way fails it, and a wrong configuration is kept with a failed pipeline.
    Upstream(ByBridge),
}

/// What a bridge asks for.
#[derive(Debug, Clone)]
pub struct ByBridge {
    /// The bridge.
    pub bridge: Upstream,
    /// Whether and how it follows the pipeline.
    pub strategy: Option<Strategy>,
    /// The commit before, of a child pipeline: its parent's.
    pub before: Option<String>,
}

/// A pipeline of a merge request to be.
#[derive(Debug, Clone)]
pub struct Requested {
    /// The merge request.
    pub of: RequestOf,
    /// What somebody did so that it is made.
    pub act: Act,
}

/// A pipeline to be.
#[derive(Debug, Clone)]
pub struct Start {
    /// Where it comes from.
    pub source: PipelineSource,
    /// Why, and what goes with that.
    pub origin: Origin,
    /// The branch or tag.
    pub name: RefName,
    /// Its commit.
    pub commit: ObjectId,
    /// Variables given with it.
    pub variables: Vec<NewVariable>,
    /// Values of the configuration's `spec:inputs` given with it.
    pub inputs: Vec<(String, serde_json::Value)>,
    /// A configuration in place of the project's file.
    pub config: Option<String>,
}

/// Seals given variables for the database.
pub fn seal(ctx: &Ctx, given: &[NewVariable]) -> Result<Vec<GivenVariable>> {
    given
        .iter()
        .map(|variable| {
            Ok(GivenVariable {
                key: variable.key.clone(),
                value: ctx.keys.seal(facts::GIVEN, variable.value.as_bytes())?,
                variable_type: variable.variable_type,
                raw: variable.raw,
            })
        })
        .collect()
}

/// `POST /projects/:id/pipeline`.
///
/// # Errors
/// 400 with the reason, in GitLab's words; then nothing is kept.
pub async fn create_by_api(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    git_ref: &str,
    variables: Vec<NewVariable>,
    inputs: Vec<(String, serde_json::Value)>,
) -> Result<PipelineDetails> {
    let (name, commit) = commits::branch_or_tag(ctx, &access.project, git_ref).await?;
    let start = Start {
        source: PipelineSource::Api,
        origin: Origin::Asked,
        name,
        commit,
        variables,
        inputs,
        config: None,
    };
    let created = create(ctx, access, user, start).await?;
    let id = created.ok_or_else(|| Error::internal("a pipeline that was asked for was not made"))?;
    super::find(ctx, &access.project, id).await
}

/// What must be known before anything is decided.
pub(super) struct Facts {
    /// Whether the ref is protected.
    pub(super) protected: bool,
    /// The ref's short name.
    pub(super) short_name: String,
    /// The merge request that it runs for.
    pub(super) request: Option<RequestOf>,
    /// Whether the ref is a tag.
    pub(super) tag: bool,
    /// The commit.
    pub(super) commit: std::sync::Arc<Commit>,
}

impl Facts {
    /// The branch or tag that the variables name: of a merge request its source branch.
    pub(super) fn source_ref(&self) -> &str {
        self.request.as_ref().map_or(&self.short_name, |of| &of.request.source_branch)
    }
}

/// Why somebody who may not create pipelines gets none.
pub const NO_RIGHT: &str = "Insufficient permissions to create a new pipeline";

/// Creates a pipeline. None if the configuration keeps a push from having one.
///
/// # Errors
/// For all but pushes: 400 with the reason, in GitLab's words.
pub async fn create(ctx: &Ctx, access: &Access, user: &User, start: Start) -> Result<Option<PipelineId>> {
    allowed(access, &start)?;
    let facts = Box::pin(look(ctx, access, &start)).await?;
    if is_skipped(&start, &facts.commit) {
        let new = new_pipeline(access, user, &start, &facts);
        return Ok(Some(store_without_jobs(ctx, access, &start, new, JobStatus::Skipped).await?));
    }
    let repository = commits::repository(ctx, &access.project);
    let Some(compiled) = Box::pin(compile(ctx, access, user, &start, &facts, &repository)).await? else {
        return match start.origin {
            // A project without configuration has no pipelines.
            Origin::Pushed { push, .. } => forget(ctx, push).await.map(|()| None),
            Origin::Request(requested) if requested.act != Act::Ask => Ok(None),
            _ => Err(Error::base("Missing CI config file")),
        };
    };
    match (compiled.plan, compiled.refusal) {
        (Some(plan), None) => {
            let mut new = new_pipeline(access, user, &start, &facts);
            new.name.clone_from(&plan.name);
            new.on_new_commit = plan.auto_cancel.on_new_commit;
            new.merged_yaml = compiled.merged_yaml;
            Ok(Some(store(ctx, access, &start, new, plan).await?))
        }
        (_, refusal) => {
            let errors = compiled.diagnostics.iter().filter(|it| it.severity == Severity::Error);
            let errors: Vec<String> = errors.map(described).collect();
            refuse(ctx, access, user, &start, &facts, refusal, errors).await
        }
    }
}

async fn look(ctx: &Ctx, access: &Access, start: &Start) -> Result<Facts> {
    let commit = commits::find(ctx, &access.project, start.commit.as_ref()).await;
    let commit = commit.map_err(|error| match error {
        Error::NotFound(_) => Error::base("Commit not found"),
        other => other,
    })?;
    let (project, copy) = (access.project.clone(), start.clone());
    let (request, code) = ctx
        .db
        .read(move |tx| {
            let request = request(tx, &copy)?;
            let code = match &request {
                Some(of) => {
                    let sha = of.merged.as_ref().map_or(copy.commit.as_str(), |merged| &merged.source_sha);
                    trust::of_request(tx, &project, &of.request, sha)?
                }
                None => trust::of_ref(tx, &project, &copy.name)?,
            };
            Ok::<_, Error>((request, code))
        })
        .await?;
    let judged = trust::ask(access, act(start), &code, None);
    let short = short_name(&start.name);
    let rights = judged.map_err(|refusal| {
        Error::base(match refusal {
            decision::Refusal::Level => NO_RIGHT.to_owned(),
            decision::Refusal::Unknown => "Reference not found".to_owned(),
            decision::Refusal::Forks | decision::Refusal::Approval | decision::Refusal::Rights => {
                "Cannot create a pipeline for this merge request.".to_owned()
            }
            decision::Refusal::Ref => format!(
                "You do not have sufficient permission to run a pipeline on '{short}'. Please select a different \
                 branch or contact your administrator for assistance."
            ),
        })
    })?;
    Ok(Facts {
        protected: rights == Rights::Protected,
        short_name: short,
        request,
        tag: start.name.tag().is_some(),
        commit,
    })
}

/// The merge request of a pipeline to be; a child has its parent's.
fn request(tx: &mut Tx<'_>, start: &Start) -> Result<Option<RequestOf>> {
    match &start.origin {
        Origin::Request(requested) => Ok(Some(requested.of.clone())),
        Origin::Upstream(by) if by.bridge.child => match pipelines::find(tx, by.bridge.pipeline_id)? {
            Some(parent) => merge_requests::of_pipeline(tx, &parent),
            None => Ok(None),
        },
        _ => Ok(None),
    }
}

/// What is done by making the pipeline.
fn act(start: &Start) -> Act {
    match &start.origin {
        Origin::Request(requested) => requested.act,
        Origin::Pushed { .. } => Act::Push,
        Origin::Triggered { .. } => Act::Trigger,
        Origin::Upstream(_) => Act::Upstream,
        Origin::Scheduled(_) => Act::Schedule,
        Origin::Asked => Act::Api,
    }
}

pub(super) fn short_name(name: &RefName) -> String {
    let text = name.as_str();
    let short = text.strip_prefix("refs/heads/").or_else(|| text.strip_prefix("refs/tags/"));
    short.unwrap_or(text).to_owned()
}

/// Whether the caller may give variables to pipelines.
pub fn may_set_variables(access: &Access) -> bool {
    let minimum = access.project.settings.ci_pipeline_variables_minimum_override_role;
    access.standing.level >= minimum.unwrap_or(AccessLevel::Admin)
}

/// Whether project and caller allow it at all.
fn allowed(access: &Access, start: &Start) -> Result<()> {
    let project = &access.project;
    if project.builds_access_level == FeatureAccess::Disabled {
        return Err(Error::base("Pipelines are disabled!"));
    }
    if !access.standing.may(Action::CreatePipeline) {
        return Err(Error::base(NO_RIGHT));
    }
    // What a parent gives to its child comes from the project itself.
    if start.variables.is_empty() || upstream(start).is_some_and(|it| it.bridge.child) {
        return Ok(());
    }
    if !may_set_variables(access) {
        return Err(Error::base("Insufficient permissions to set pipeline variables"));
    }
    let mut seen = HashSet::new();
    match start.variables.iter().find(|variable| !seen.insert(variable.key.as_str())) {
        Some(twice) => Err(Error::base(format!("Duplicate variable name: {}", twice.key))),
        None => Ok(()),
    }
}

/// `[skip ci]` and `[ci skip]` in the message of a pushed commit, or the push option.
/// Source: `lib/gitlab/ci/pipeline/chain/skip.rb`.
fn is_skipped(start: &Start, commit: &Commit) -> bool {
    let skip = match &start.origin {
        Origin::Pushed { skip, .. } => skip,
        Origin::Request(_) => &false,
        _ => return false,
    };
    let message = commit.message.to_ascii_lowercase();
    let marks = ["[ci skip]", "[skip ci]", "[ci-skip]", "[skip-ci]", "[ci_skip]", "[skip_ci]"];
    *skip || marks.iter().any(|mark| message.contains(mark))
}

fn new_pipeline(access: &Access, user: &User, start: &Start, facts: &Facts) -> NewPipeline {
    let upstream = upstream(start).map(|it| it.bridge);
    let source = if upstream.is_some_and(|it| it.child) { "bridge_source" } else { "repository_source" };
    NewPipeline {
        project_id: access.project.id,
        sha: start.commit.to_string(),
        before_sha: before(start),
        merge_request_id: facts.request.as_ref().map(|of| of.request.id),
        merged: facts.request.as_ref().and_then(|of| of.merged.clone()),
        ref_name: facts.short_name.clone(),
        tag: facts.tag,
        protected: facts.protected,
        source: start.source,
        name: None,
        user_id: Some(user.id),
        yaml_errors: None,
        failure_reason: None,
        config_source: source.to_owned(),
        upstream,
        on_new_commit: None,
        merged_yaml: None,
    }
}

/// The commit before the push.
pub(super) fn before(start: &Start) -> Option<String> {
    match &start.origin {
        Origin::Pushed { before, .. } => before.clone(),
        Origin::Upstream(by) => by.before.clone(),
        _ => None,
    }
}

/// What a bridge asks for, if one does.
pub(super) const fn upstream(start: &Start) -> Option<&ByBridge> {
    match &start.origin {
        Origin::Upstream(by) => Some(by),
        _ => None,
    }
}

/// GitLab's message, on which clients match, and then the place.
fn described(diagnostic: &Diagnostic) -> String {
    match diagnostic.labels.first() {
        Some(at) => format!("{} ({}:{}:{})", diagnostic.message, at.file, at.line, at.column),
        None => diagnostic.message.clone(),
    }
}

/// Tells or keeps why there is no pipeline.
async fn refuse(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    start: &Start,
    facts: &Facts,
    refusal: Option<Refusal>,
    errors: Vec<String>,
) -> Result<Option<PipelineId>> {
    let refusal = refusal.unwrap_or(Refusal::ConfigError);
    let message = refusal.message().map_or_else(
        || errors.first().cloned().unwrap_or_else(|| "Undefined error".to_owned()),
        str::to_owned,
    );
    match (&start.origin, refusal) {
        (Origin::Upstream(_), Refusal::FilteredByRules | Refusal::FilteredByWorkflowRules) => {
            Err(Error::base(message))
        }
        (Origin::Pushed { push, .. }, Refusal::FilteredByRules | Refusal::FilteredByWorkflowRules) => {
            forget(ctx, *push).await?;
            Ok(None)
        }
        (Origin::Request(requested), Refusal::FilteredByRules | Refusal::FilteredByWorkflowRules)
            if requested.act != Act::Ask =>
        {
            Ok(None)
        }
        (
            Origin::Pushed { .. }
            | Origin::Triggered { .. }
            | Origin::Scheduled(_)
            | Origin::Request(_)
            | Origin::Upstream(_),
            Refusal::ConfigError,
        ) => {
            let mut new = new_pipeline(access, user, start, facts);
            new.yaml_errors = Some(errors.join("\n"));
            new.failure_reason = Some("config_error".to_owned());
            Ok(Some(store_without_jobs(ctx, access, start, new, JobStatus::Failed).await?))
        }
        _ => Err(Error::base(message)),
    }
}

/// The push needs no pipeline.
async fn forget(ctx: &Ctx, push: Option<PushId>) -> Result<()> {
    if let Some(push) = push {
        ctx.db.write(move |tx| pushes::done(tx, push)).await?;
    }
    Ok(())
}

/// Stores a pipeline that has a status and no jobs.
async fn store_without_jobs(
    ctx: &Ctx,
    access: &Access,
    start: &Start,
    new: NewPipeline,
    status: JobStatus,
) -> Result<PipelineId> {
    let now = ctx.now();
    let mut state = weir_engine::create(&Plan::default(), now);
    state.status = status;
    state.finished_at = (status == JobStatus::Failed).then_some(now);
    let mut changes = Changes::default();
    changes.effects.push(Effect::PipelineStatus { from: JobStatus::Created, to: status });
    let (inserted, transition) = insert(ctx, start, new, state, Plan::default(), changes).await?;
    changes::announce(ctx, access.project.id, inserted.id, &transition);
    Ok(inserted.id)
}

/// Stores a pipeline with its jobs, the first of them decided.
async fn store(
    ctx: &Ctx,
    access: &Access,
    start: &Start,
    new: NewPipeline,
    plan: Plan,
) -> Result<PipelineId> {
    let now = ctx.now();
    let mut state = weir_engine::create(&plan, now);
    let changes = weir_engine::apply(&mut state, Event::Created, now)
        .map_err(|refused| Error::internal(format!("a new pipeline was refused: {refused}")))?;
    let (inserted, transition) = insert(ctx, start, new, state, plan, changes).await?;
    ctx.metrics.pipelines.inc();
    changes::announce(ctx, access.project.id, inserted.id, &transition);
    ctx.bus.wake(Wake::Pipeline(access.project.id, inserted.id));
    redundant::cancel(ctx, &access.project, start, inserted.id).await?;
    Ok(inserted.id)
}

async fn insert(
    ctx: &Ctx,
    start: &Start,
    new: NewPipeline,
    state: PipelineState,
    plan: Plan,
    changes: Changes,
) -> Result<(Inserted, pipelines::Transition)> {
    let given = seal(ctx, &start.variables)?;
    let origin = start.origin.clone();
    let (now, shared) = (ctx.now(), ctx.clone());
    let state = Arc::new(state);
    let inserting = state.clone();
    let (inserted, done, reported) = ctx
        .db
        .write(move |tx: &mut Tx<'_>| {
            // The push is done in the transaction that makes its pipeline: there is never a second one.
            if let Origin::Pushed { push: Some(push), .. } = origin
                && !pushes::done(tx, push)?
            {
                return Err(Error::Conflict("the push has its pipeline already".to_owned()));
            }
            // So is the run of a schedule.
            if let Origin::Scheduled(schedule) = &origin
                && let Some((run, next)) = schedule.run
                && !pipeline_schedules::ran(tx, schedule.id, run, next)?
            {
                return Err(Error::Conflict("the run has its pipeline already".to_owned()));
            }
            // Bridge and downstream change at once: there is never one without the other.
            let reported = match &origin {
                Origin::Upstream(by) => {
                    Some(downstream::report(tx, &shared, by, new.failure_reason.is_some())?)
                }
                _ => None,
            };
            let inserted = pipelines::insert(tx, &new, &inserting, &plan.jobs, &changes, now)?;
            insert_for_pipeline(tx, inserted.id, &given)?;
            match &origin {
                Origin::Triggered { trigger: Some(trigger) } => triggers::started(tx, *trigger, inserted.id)?,
                Origin::Scheduled(schedule) => pipeline_schedules::started(tx, schedule.id, inserted.id)?,
                _ => {}
            }
            let mut done = pipelines::Transition {
                changes: changes.clone(),
                upstream: new.upstream.map(|upstream| upstream.job_id),
                hooked: inserted.hooked,
                known: inserted.jobs.len(),
                ids: inserted.jobs.clone().into(),
            };
            if done.hooked {
                webhooks::created(tx, &shared, inserted.id)?;
            }
            let failed = environments::begin(tx, &new, &plan.jobs, &inserted.jobs, now)?;
            changes::follow(tx, &shared, inserted.id, &mut done)?;
            let reason = FailureReason::EnvironmentCreationFailure;
            environments::fail(tx, &shared, inserted.id, &mut done, &failed, reason)?;
            Ok::<_, Error>((inserted, done, reported))
        })
        .await?;
    ctx.pipelines.keep(&inserted, Arc::unwrap_or_clone(state));
    if let (Some(by), Some(reported)) = (upstream(start), reported) {
        changes::announce(ctx, by.bridge.project_id, by.bridge.pipeline_id, &reported);
    }
    Ok((inserted, done))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Commit {
        Commit { message: text.to_owned(), ..serde_json::from_str(r#"{"id": "x"}"#).unwrap() }
    }

    #[test]
    fn only_a_pushs_message_skips_its_pipeline() {
        let start = |origin| Start {
            source: PipelineSource::Push,
            origin,
            name: RefName::new("refs/heads/main").unwrap(),
            commit: ObjectId::zero(),
            variables: Vec::new(),
            inputs: Vec::new(),
            config: None,
        };
        let pushed = |skip| start(Origin::Pushed { push: None, before: None, skip });
        for text in ["Fix [skip ci]", "[CI SKIP] x", "a\n\n[ci-skip]", "[skip_ci]"] {
            assert!(is_skipped(&pushed(false), &message(text)), "{text}");
            assert!(!is_skipped(&start(Origin::Asked), &message(text)), "{text}");
        }
        assert!(!is_skipped(&pushed(false), &message("skip ci")));
        assert!(is_skipped(&pushed(true), &message("x")));
    }
}
