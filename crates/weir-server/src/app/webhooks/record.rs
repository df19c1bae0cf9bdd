//! Leaves deliveries in the transaction of what they tell of.

use std::collections::HashMap;

use serde_json::Value;
use weir_api::hooks::{AlertStatus, HookEvent};
use weir_api::id::{PipelineId, ProjectId};
use weir_api::status::ArtifactFileType;
use weir_api::{JobStatus, UserState};
use weir_engine::Effect;
use weir_git::RefName;
use weir_store::jobs;
use weir_store::pipelines::{self, Pipeline, Transition};
use weir_store::projects::Project;
use weir_store::pushes::Push;
use weir_store::secrets::uuid;
use weir_store::users::User;
use weir_store::webhooks::{self, Hook};
use weir_store::{Page, Sort, Tx, artifacts, namespaces, projects, runners, users, variables};

use super::payload::{self, Build, Place, Pushed};
use super::{alert_status, kind};
use crate::app::{facts, protection};
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// The hooks of a project that are told something at present.
pub(super) fn listening(tx: &mut Tx<'_>, ctx: &Ctx, project: ProjectId) -> Result<Vec<Hook>> {
    let mut hooks = webhooks::of_project(tx, project)?;
    hooks.retain(|hook| alert_status(hook, ctx.now()) == AlertStatus::Executable);
    Ok(hooks)
}

/// Leaves what happened to each hook that wants it.
pub(super) fn leave(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    hooks: &[Hook],
    event: HookEvent,
    payload: &Value,
) -> Result<()> {
    let text = payload.to_string();
    for hook in hooks.iter().filter(|hook| hook.events.contains(&event)) {
        webhooks::deliver(tx, hook.id, kind(event), &uuid()?, &text, ctx.now())?;
    }
    Ok(())
}

pub(super) fn place(tx: &mut Tx<'_>, project: ProjectId) -> Result<Option<Place>> {
    let Some(project) = projects::find(tx, project)? else { return Ok(None) };
    let namespace = namespaces::find(tx, project.namespace_id)?.map(|it| it.name).unwrap_or_default();
    Ok(Some(Place { project, namespace }))
}

/// A pipeline changed in this transaction: its hooks are told, if it has any.
pub fn transition(tx: &mut Tx<'_>, ctx: &Ctx, pipeline: PipelineId, done: &Transition) -> Result<()> {
    if !done.hooked {
        return Ok(());
    }
    let Some(row) = pipelines::find(tx, pipeline)? else { return Ok(()) };
    let hooks = listening(tx, ctx, row.project_id)?;
    let wanted = |event| hooks.iter().any(|hook| hook.events.contains(&event));
    let (of_jobs, of_pipelines) = (wanted(HookEvent::Job), wanted(HookEvent::Pipeline));
    if !of_jobs && !of_pipelines {
        return Ok(());
    }
    let Some(scene) = Scene::of(tx, row)? else { return Ok(()) };
    if scene.is_silent() {
        return Ok(());
    }
    for id in done.ids.iter().skip(done.known).filter(|_| of_jobs) {
        if let Some(build) = scene.builds.iter().find(|it| it.job.id == *id) {
            leave(tx, ctx, &hooks, HookEvent::Job, &scene.new_job(ctx, build))?;
        }
    }
    for effect in &done.changes.effects {
        match *effect {
            Effect::JobStatus { job, to, .. } if of_jobs => {
                let build = done.id(job).and_then(|id| scene.builds.iter().find(|it| it.job.id == id));
                if let Some(build) = build {
                    leave(tx, ctx, &hooks, HookEvent::Job, &scene.job(ctx, build, to))?;
                }
            }
            Effect::PipelineStatus { to, .. } if of_pipelines => {
                let payload = scene.pipeline(tx, ctx, to)?;
                leave(tx, ctx, &hooks, HookEvent::Pipeline, &payload)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// A pipeline was made in this transaction: its hooks are told of its jobs.
pub fn created(tx: &mut Tx<'_>, ctx: &Ctx, pipeline: PipelineId) -> Result<()> {
    let Some(row) = pipelines::find(tx, pipeline)? else { return Ok(()) };
    let hooks = listening(tx, ctx, row.project_id)?;
    if !hooks.iter().any(|hook| hook.events.contains(&HookEvent::Job)) {
        return Ok(());
    }
    let Some(scene) = Scene::of(tx, row)? else { return Ok(()) };
    for build in scene.builds.iter().filter(|_| !scene.is_silent()) {
        leave(tx, ctx, &hooks, HookEvent::Job, &scene.new_job(ctx, build))?;
    }
    Ok(())
}

/// A pipeline with all that its payloads hold.
pub(super) struct Scene {
    place: Place,
    pipeline: Pipeline,
    upstream: Option<Project>,
    owner: Option<User>,
    /// Jobs that runners run, retried ones included.
    builds: Vec<Build>,
}

impl Scene {
    pub(super) fn of(tx: &mut Tx<'_>, pipeline: Pipeline) -> Result<Option<Self>> {
        let Some(place) = place(tx, pipeline.project_id)? else { return Ok(None) };
        let upstream = match pipeline.upstream {
            Some(upstream) => projects::find(tx, upstream.project_id)?,
            None => None,
        };
        let filter = jobs::Filter {
            pipeline_id: Some(pipeline.id),
            bridge: Some(false),
            sort: Sort::Asc,
            ..jobs::Filter::default()
        };
        let rows = jobs::list(tx, &filter, Page::first(i64::MAX))?;
        let definitions = jobs::definitions(tx, pipeline.id)?;
        let ids: Vec<_> = rows.iter().map(|job| job.id).collect();
        let archives: HashMap<_, _> = artifacts::of_jobs(tx, &ids)?
            .into_iter()
            .filter(|it| it.file_type == ArtifactFileType::Archive)
            .map(|it| (it.job_id, it))
            .collect();
        let mut people = ids_of(rows.iter().filter_map(|job| job.user_id).chain(pipeline.user_id));
        people.sort_unstable();
        let people = users::find_all(tx, &people)?;
        let person = |id| people.iter().find(|it| Some(it.id) == id).cloned();
        let agents = runners::find_all(tx, &ids_of(rows.iter().filter_map(|job| job.runner_id)))?;
        let mut builds: Vec<Build> = Vec::with_capacity(rows.len());
        for job in rows {
            builds.push(Build {
                user: person(job.user_id),
                runner: agents.iter().find(|it| Some(it.id) == job.runner_id).cloned(),
                archive: archives.get(&job.id).cloned(),
                definition: definitions.get(&job.definition).cloned(),
                retries: builds.iter().filter(|it| it.job.name == job.name).count(),
                job,
            });
        }
        Ok(Some(Self { owner: person(pipeline.user_id), place, pipeline, upstream, builds }))
    }

    /// Hooks are told nothing of what blocked users run.
    fn is_silent(&self) -> bool {
        self.owner.as_ref().is_some_and(|user| user.state != UserState::Active)
    }

    /// The newest job, if there is one.
    pub(super) fn any_job(&self, ctx: &Ctx) -> Option<Value> {
        self.builds.last().map(|build| self.job(ctx, build, build.job.status))
    }

    fn job(&self, ctx: &Ctx, build: &Build, status: JobStatus) -> Value {
        payload::build(ctx, &self.place, &self.pipeline, self.upstream.as_ref(), build, status)
    }

    /// A job as it was made, whatever became of it in the same moment.
    fn new_job(&self, ctx: &Ctx, build: &Build) -> Value {
        let mut new = build.clone();
        (new.job.queued_at, new.job.started_at, new.job.finished_at) = (None, None, None);
        self.job(ctx, &new, JobStatus::Created)
    }

    /// The pipeline with its newest attempts.
    pub(super) fn pipeline(&self, tx: &mut Tx<'_>, ctx: &Ctx, status: JobStatus) -> Result<Value> {
        let stages: Vec<String> =
            pipelines::stages(tx, self.pipeline.id)?.into_iter().map(|stage| stage.name).collect();
        let mut given = Vec::new();
        for row in variables::of_pipeline(tx, self.pipeline.id)? {
            let variable = facts::given(ctx, &row)?;
            given.push((variable.key, variable.value.unwrap_or_default()));
        }
        let latest: Vec<Build> = self.builds.iter().filter(|it| !it.job.retried).cloned().collect();
        let parts = payload::PipelineParts {
            upstream: self.upstream.as_ref(),
            variables: &given,
            stages: &stages,
            builds: &latest,
            owner: self.owner.as_ref(),
        };
        Ok(payload::pipeline(ctx, &self.place, &self.pipeline, &parts, status))
    }

    /// The status that the pipeline has.
    pub(super) fn status(&self) -> JobStatus {
        self.pipeline.status
    }
}

fn ids_of<T: Ord + Copy>(ids: impl Iterator<Item = T>) -> Vec<T> {
    let mut ids: Vec<T> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// A push took effect: its hooks are told, once.
pub async fn push(ctx: &Ctx, project: &Project, who: &User, push: &Push) -> Result<()> {
    let id = project.id;
    if ctx.db.read(move |tx| webhooks::of_project(tx, id)).await?.is_empty() {
        return Ok(());
    }
    let (shared, who, pushed) = (ctx.clone(), who.clone(), push.clone());
    ctx.db
        .write(move |tx| {
            if !webhooks::mark_push(tx, pushed.id)? {
                return Ok(());
            }
            let mut hooks = listening(tx, &shared, id)?;
            let Some(place) = place(tx, id)? else { return Ok(()) };
            let Ok(name) = RefName::new(&pushed.ref_name) else { return Ok(()) };
            let event = match name.branch() {
                Some(branch) => {
                    hooks.retain(|hook| super::wants_branch(hook, branch.as_ref()));
                    HookEvent::Push
                }
                None => HookEvent::TagPush,
            };
            let protected = protection::of_ref(tx, &place.project, &name)?.is_some();
            let options: Vec<String> =
                pushed.options.iter().filter(|it| !it.starts_with('\u{1}')).cloned().collect();
            let facts = Pushed {
                ref_name: &pushed.ref_name,
                before: &pushed.before_sha,
                after: &pushed.after_sha,
                protected,
                options: &options,
            };
            leave(tx, &shared, &hooks, event, &payload::push(&shared, &place, &who, &facts))
        })
        .await?;
    ctx.bus.wake(crate::bus::Wake::Webhooks);
    Ok::<_, Error>(())
}

/// The newest job of a project, and its newest pipeline, for tests of hooks.
pub(super) fn newest(tx: &mut Tx<'_>, project: ProjectId) -> Result<Option<Scene>> {
    let filter = pipelines::Filter { project_id: Some(project), ..pipelines::Filter::default() };
    match pipelines::list(tx, &filter, Page::first(1))?.pop() {
        Some(pipeline) => Scene::of(tx, pipeline),
        None => Ok(None),
    }
}
