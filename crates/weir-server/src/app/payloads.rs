//! What a runner gets with a job: everything that it needs, gathered from rows and the repository.

use weir_api::environments::EnvironmentAction;
use weir_api::id::JobId;
use weir_api::runner::{JobInfo, JobPayload, ObjectFormat};
use weir_api::status::{Accessibility, ArtifactFileType};
use weir_api::{GitStrategy, PipelineSource, Secret, Timestamp};
use weir_compiler::plan;
use weir_compiler::vars::{
    Expansion, Level, References, StoredVariable, Variable, Variables, applicable, expand, predefined,
};
use weir_engine::dependencies;
use weir_engine::payload::{Archive, Caches, Facts, Git, Ref, payload};
use weir_git::{ObjectId, RefName};
use weir_store::artifacts::{self, Artifact};
use weir_store::environments::{self, Environment};
use weir_store::jobs::{self, Job};
use weir_store::namespaces::{self, Namespace};
use weir_store::pipeline_schedules::{self, PipelineSchedule};
use weir_store::pipelines::{self, Pipeline};
use weir_store::projects::{self, Project};
use weir_store::runners::{self, Runner};
use weir_store::users::{self, User};
use weir_store::variables::{self, GivenVariable, Owner};
use weir_store::{TokenKind, Tx, deployments, queue, triggers};

use super::merge_requests::{self, RequestFacts, RequestOf};
use super::pipelines::level_of;
use super::{access, commits, facts};
use crate::auth::{Action, Standing};
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// The rows around a job.
pub(super) struct Rows {
    pub(super) project: Project,
    namespaces: Vec<Namespace>,
    pub(super) pipeline: Pipeline,
    /// The merge request of the pipeline.
    of: Option<RequestOf>,
    requests: RequestFacts,
    pub(super) definition: plan::Job,
    pub(super) user: User,
    runner: Option<Runner>,
    settings: Vec<(Owner, StoredVariable)>,
    pub(super) given: Vec<GivenVariable>,
    pub(super) played: Vec<GivenVariable>,
    /// Of the trigger that started the pipeline.
    short_token: Option<String>,
    /// The schedule that made the pipeline, and its variables.
    schedule: Option<(PipelineSchedule, Vec<GivenVariable>)>,
    running_on_instance_runners: i64,
    environment: Option<Environment>,
}

impl Rows {
    /// Whether the commit comes from another project.
    fn is_foreign(&self) -> bool {
        self.of
            .as_ref()
            .is_some_and(|of| of.request.target_project_id == self.project.id && of.request.is_for_fork())
    }
}

/// The payload of a job that a runner has just taken, with the job's token.
pub async fn build(ctx: &Ctx, job: &Job, token: &Secret, archives: Vec<Archive>) -> Result<JobPayload> {
    let (shared, taken) = (ctx.clone(), job.clone());
    let rows = ctx.db.read(move |tx| gather(tx, &shared, &taken)).await?;
    let commit = commits::find(ctx, &rows.project, &rows.pipeline.sha).await?;
    keep_reachable(ctx, &rows).await?;
    let variables = variables(ctx, job, token, &rows, &commit)?;
    note_url(ctx, job, &rows, &variables).await?;
    let plan::Action::Run(run) = &rows.definition.action else {
        return Err(Error::internal("a bridge was handed to a runner"));
    };
    let repository_url = repository_url(ctx, &rows.project, token);
    let root = rows.namespaces.last();
    let info = JobInfo {
        id: Some(job.id),
        name: job.name.clone(),
        stage: job.stage_name.clone(),
        pipeline_id: Some(rows.pipeline.id),
        project_id: rows.project.id,
        project_name: rows.project.path.clone(),
        project_full_path: rows.project.full_path.clone(),
        namespace_id: Some(rows.project.namespace_id),
        root_namespace_id: root.map(|namespace| namespace.id),
        organization_id: Some(1),
        instance_id: String::new(),
        instance_uuid: String::new(),
        user_id: Some(rows.user.id),
        scoped_user_id: None,
        time_in_queue_seconds: job.queued_at.zip(job.started_at).map(|(from, to)| to.secs_since(from)),
        project_jobs_running_on_instance_runners_count: rows.running_on_instance_runners.to_string(),
        queue_size: None,
        queue_depth: None,
    };
    Ok(payload(Facts {
        info,
        id: job.id,
        token,
        run,
        timeout: job.timeout.unwrap_or(rows.project.settings.build_timeout),
        variables: &variables,
        git: Git {
            repo_url: Secret::from(repository_url),
            object_format: ObjectFormat::Sha1,
            reference: if rows.pipeline.tag {
                Ref::Tag(&rows.pipeline.ref_name)
            } else if rows.pipeline.ref_name.starts_with("refs/merge-requests/") {
                Ref::MergeRequest(&rows.pipeline.ref_name)
            } else {
                Ref::Branch(&rows.pipeline.ref_name)
            },
            protected: rows.pipeline.protected,
            sha: &rows.pipeline.sha,
            before_sha: rows.pipeline.before_sha.as_deref(),
            pipeline: Some(rows.pipeline.id),
            default_depth: rows.project.settings.ci_default_git_depth.unwrap_or(0),
            allow_fetch: rows.project.settings.build_git_strategy == GitStrategy::Fetch,
        },
        caches: Caches {
            index: None,
            // What others wrote never fills the caches of the project's own code that is trusted.
            separated: rows.project.settings.ci_separated_caches || rows.is_foreign(),
            protected: rows.pipeline.protected,
        },
        dependencies: archives,
        credentials: Vec::new(),
        inputs: Vec::new(),
        token_prefixes: [TokenKind::PersonalAccess, TokenKind::Job, TokenKind::Runner, TokenKind::Trigger]
            .iter()
            .map(|kind| kind.prefix().to_owned())
            .collect(),
        session_url: None,
    }))
}

/// Notes the URL of what the job deploys, for its success: now all variables are known but those that the job makes.
async fn note_url(ctx: &Ctx, job: &Job, rows: &Rows, variables: &Variables) -> Result<()> {
    let named = rows.definition.environment.as_ref();
    let deploys = named.filter(|named| named.action == EnvironmentAction::Start);
    let Some(url) = deploys.and_then(|named| named.url.as_deref()).filter(|url| url.contains(['$', '%']))
    else {
        return Ok(());
    };
    let known = variables.expanded(Expansion::server(References::Keep));
    let known = known.map_err(|error| Error::internal(error.to_string()))?;
    let find = |name: &str| known.iter().rev().find(|it| it.key == name && it.key != "CI_ENVIRONMENT_URL");
    let (job, url) = (job.id, expand(url, References::Keep, find));
    Ok(ctx.db.write(move |tx| deployments::set_url(tx, job, &url)).await?)
}

/// Makes sure of the pipeline's own ref, by which runners fetch: it keeps the commit when its branch moves on.
async fn keep_reachable(ctx: &Ctx, rows: &Rows) -> Result<()> {
    let repository = commits::repository(ctx, &rows.project);
    let name = RefName::pipeline(rows.pipeline.id.0);
    if repository.read_ref(&name).await?.is_none() {
        let commit = ObjectId::new(&rows.pipeline.sha).map_err(weir_git::Error::from)?;
        repository.set_refs(&[(name, commit)]).await?;
    }
    Ok(())
}

/// Where the runner fetches from.
fn repository_url(ctx: &Ctx, project: &Project, token: &Secret) -> String {
    let url = ctx.url(&format!("/{}.git", project.full_path));
    predefined::repository_url(&url, token.expose())
}

/// The rows around a job or bridge that has a user.
pub(super) fn gather(tx: &mut Tx<'_>, ctx: &Ctx, job: &Job) -> Result<Rows> {
    let gone = || Error::internal("a row around a running job is gone");
    let project = projects::find(tx, job.project_id)?.ok_or_else(gone)?;
    let definition = jobs::definition(tx, job)?;
    let pipeline = pipelines::find(tx, job.pipeline_id)?.ok_or_else(gone)?;
    let short_token = match pipeline.source {
        PipelineSource::Trigger => triggers::short_token_of(tx, pipeline.id)?,
        _ => None,
    };
    let named = definition.environment.as_ref();
    let environment =
        named.map(|named| environments::named(tx, project.id, &named.name)).transpose()?.flatten();
    let schedule = match pipeline.source {
        PipelineSource::Schedule => pipeline_schedules::of_pipeline(tx, pipeline.id)?,
        _ => None,
    };
    let schedule = match schedule {
        Some(schedule) => {
            let variables = pipeline_schedules::variables(tx, schedule.id)?;
            Some((schedule, variables))
        }
        None => None,
    };
    let of = merge_requests::of_pipeline(tx, &pipeline)?;
    let branch = (!pipeline.tag).then_some(pipeline.ref_name.as_str());
    let requests = merge_requests::facts(tx, ctx, &project, branch, of.as_ref())?;
    Ok(Rows {
        environment,
        namespaces: namespaces::ancestors(tx, project.namespace_id)?,
        pipeline,
        of,
        requests,
        short_token,
        schedule,
        user: job.user_id.map(|id| users::find(tx, id)).transpose()?.flatten().ok_or_else(gone)?,
        runner: job.runner_id.map(|id| runners::find(tx, id)).transpose()?.flatten(),
        settings: facts::settings_of(ctx, tx, &project)?,
        given: variables::of_pipeline(tx, job.pipeline_id)?,
        played: variables::of_job(tx, job.id)?,
        running_on_instance_runners: queue::running_on_instance_runners(tx, job.project_id)?,
        definition,
        project,
    })
}

/// The archives that a job gets of earlier ones, and whether they are complete: nothing that the job depends on
/// was erased or expired. Source: `app/models/ci/build_dependencies.rb`.
pub fn archives(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    job: &Job,
    definition: &plan::Job,
    now: Timestamp,
) -> Result<(Vec<Archive>, bool)> {
    let wanted: Vec<JobId> = pipelines::peek(tx, &ctx.pipelines, job.pipeline_id, |state, ids| {
        let wanted = dependencies::of(state, job.index, definition);
        wanted.into_iter().filter_map(|index| ids.get(index.0 as usize).copied()).collect()
    })?
    .unwrap_or_default();
    let (mut found, mut complete) = own_archives(tx, &wanted, now)?;
    if let plan::Action::Run(run) = &definition.action
        && !run.cross_needs.is_empty()
    {
        let (others, all) = cross_archives(tx, ctx, job, &run.cross_needs, now)?;
        found.extend(others);
        complete &= all;
    }
    Ok((found, complete))
}

/// The archives of jobs of the same pipeline.
fn own_archives(tx: &mut Tx<'_>, wanted: &[JobId], now: Timestamp) -> Result<(Vec<Archive>, bool)> {
    if wanted.is_empty() {
        return Ok((Vec::new(), true));
    }
    let files = artifacts::of_jobs(tx, wanted)?;
    let (mut archives, mut complete) = (Vec::new(), true);
    let mut rows = jobs::find_all(tx, wanted)?;
    rows.sort_unstable_by_key(|row| row.id);
    for row in rows {
        let archive =
            files.iter().find(|file| file.job_id == row.id && file.file_type == ArtifactFileType::Archive);
        if let Some(archive) = archive {
            archives.push(Archive {
                job: row.id,
                name: row.name,
                filename: archive.filename.clone(),
                size: i64::try_from(archive.size).unwrap_or(i64::MAX),
            });
        } else {
            let expired = row.artifacts_expire_at.is_some_and(|expiry| expiry <= now);
            complete &= row.erased_at.is_none() && !expired;
        }
    }
    Ok((archives, complete))
}

/// The archives of jobs of other pipelines: of the same family by the pipeline's id, or of the newest success of the
/// job on a ref of a project whose artifacts the job's user may have. Whether none is missing.
fn cross_archives(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    job: &Job,
    needs: &[plan::CrossNeed],
    now: Timestamp,
) -> Result<(Vec<Archive>, bool)> {
    let rows = gather(tx, ctx, job)?;
    // What the commit says of itself plays no part in names, and reading it would hold up the queue.
    let commit = serde_json::from_value(serde_json::json!({ "id": rows.pipeline.sha }))
        .map_err(|error| Error::Internal(error.into()))?;
    let all = scoped(ctx, job, &rows, &commit, |_| true)?;
    let expand = |text: &str| expand(text, References::Blank, |name| all.get(name));
    let (mut archives, mut complete) = (Vec::new(), true);
    for need in needs.iter().filter(|need| need.artifacts) {
        let name = expand(&need.job);
        let found = match &need.source {
            plan::CrossSource::Pipeline(id) => match expand(id).parse() {
                Ok(id) if pipelines::are_family(tx, rows.pipeline.id, id)? => {
                    artifacts::of_successful_job(tx, id, &name)?
                }
                _ => None,
            },
            plan::CrossSource::Project { project, git_ref } => {
                let access = access::find_project(tx, Some(&rows.user), &expand(project), now)?;
                match access {
                    Some(access) => artifacts::newest_of_job(tx, access.project.id, &expand(git_ref), &name)?
                        .filter(|archive| may_have(access.standing, archive)),
                    None => None,
                }
            }
        };
        match found.filter(|it| it.locked || it.expire_at.is_none_or(|expiry| expiry > now)) {
            Some(archive) => archives.push(Archive {
                job: archive.job_id,
                name,
                filename: archive.filename.clone(),
                size: i64::try_from(archive.size).unwrap_or(i64::MAX),
            }),
            None => complete &= need.optional,
        }
    }
    Ok((archives, complete))
}

/// Whether somebody may download an archive of another project.
pub(super) fn may_have(standing: Standing, archive: &Artifact) -> bool {
    standing.sees_the_project()
        && match archive.accessibility {
            Accessibility::Public => standing.may(Action::ReadArtifacts),
            Accessibility::Private => standing.may(Action::ReadPrivateArtifacts),
            Accessibility::None => false,
        }
}

/// Every variable of the job, with its level.
fn variables(
    ctx: &Ctx,
    job: &Job,
    token: &Secret,
    rows: &Rows,
    commit: &weir_api::commits::Commit,
) -> Result<Variables> {
    let path = &rows.project.full_path;
    let started = predefined::StartedJobFacts {
        id: job.id,
        url: ctx.url(&format!("/{path}/-/jobs/{}", job.id)),
        token: token.clone(),
        started_at: job.started_at,
        pipeline_id: rows.pipeline.id,
        pipeline_url: ctx.url(&format!("/{path}/-/pipelines/{}", rows.pipeline.id)),
        repository_url: repository_url(ctx, &rows.project, token),
        deploy_token: None,
    };
    let mut all = scoped(ctx, job, rows, commit, |_| true)?;
    all.extend(Level::Started, predefined::started_job(&facts::server(ctx), &started));
    Ok(all)
}

/// The variables of a job or bridge that it has before it runs. `protected` says whose protected variables it gets, on
/// a protected ref.
pub(super) fn scoped(
    ctx: &Ctx,
    job: &Job,
    rows: &Rows,
    commit: &weir_api::commits::Commit,
    protected: impl Fn(Owner) -> bool,
) -> Result<Variables> {
    let pipeline = facts::PipelineOf {
        iid: Some(rows.pipeline.iid),
        created_at: Some(rows.pipeline.created_at),
        name: rows.pipeline.name.as_deref(),
        source: rows.pipeline.source,
        ref_name: rows.of.as_ref().map_or(&rows.pipeline.ref_name, |of| &of.request.source_branch),
        tag: rows.pipeline.tag,
        protected: rows.pipeline.protected,
        before_sha: rows.pipeline.before_sha.as_deref(),
        schedule_description: rows.schedule.as_ref().map(|(schedule, _)| schedule.description.as_str()),
        commit,
        upstream: rows.pipeline.upstream,
        requests: rows.requests.clone(),
    }
    .facts();
    let server = facts::server(ctx);
    let environment = rows.definition.environment.as_ref().map(|named| {
        let stored = rows.environment.as_ref();
        predefined::EnvironmentFacts {
            name: named.name.clone(),
            action: named.action,
            tier: named.deployment_tier.clone().or(stored.map(|it| it.tier.to_string())),
            url: named.url.clone().or(stored.and_then(|it| it.external_url.clone())),
            slug: stored.map(|it| it.slug.clone()),
            id: stored.map(|it| it.id),
        }
    });
    let of_job = predefined::JobFacts {
        name: job.name.clone(),
        stage: job.stage_name.clone(),
        manual: matches!(rows.definition.when, plan::When::Manual | plan::When::Delayed),
        trigger_short_token: rows.short_token.clone(),
        node_index: rows.definition.parallel.as_ref().map(|parallel| parallel.index),
        node_total: rows.definition.parallel.as_ref().map(|parallel| parallel.total),
        environment: environment.clone(),
    };
    let mut all = Variables::new();
    all.extend(Level::Job, predefined::job(&of_job));
    all.extend(
        Level::Predefined,
        predefined::pre_pipeline(&server, &facts::project(&rows.project), &pipeline),
    );
    if let Some(runner) = &rows.runner {
        let runner = predefined::RunnerFacts {
            id: runner.id,
            description: runner.description.clone(),
            tags: runner.tags.clone(),
        };
        all.extend(Level::Runner, predefined::runner(&runner));
    }
    all.extend(Level::YamlJob, rows.definition.variables.iter().map(Variable::from));
    all.extend(Level::User, predefined::user(&facts::user(&rows.user)));
    let scope = environment.as_ref().map(|environment| environment.name.as_str());
    for owner in owners(&rows.settings) {
        let of_owner = rows.settings.iter().filter(|(other, _)| *other == owner);
        let stored = of_owner.map(|(_, stored)| stored.clone());
        let protected = rows.pipeline.protected && protected(owner);
        all.extend(level_of(owner), applicable(stored, scope, protected));
    }
    let open = |rows: &[GivenVariable]| -> Result<Vec<Variable>> {
        rows.iter().map(|row| facts::given(ctx, row)).collect()
    };
    all.extend(Level::Pipeline, open(&rows.given)?);
    if let Some((_, variables)) = &rows.schedule {
        all.extend(Level::Schedule, open(variables)?);
    }
    all.extend(Level::ManualJob, open(&rows.played)?);
    let stored = environment.as_ref().filter(|it| it.id.is_some());
    all.extend(Level::Final, predefined::persisted(stored, None));
    Ok(all)
}

/// The owners of settings, weakest first, each once.
fn owners(settings: &[(Owner, StoredVariable)]) -> Vec<Owner> {
    let mut owners: Vec<Owner> = settings.iter().map(|(owner, _)| *owner).collect();
    owners.dedup();
    owners
}
