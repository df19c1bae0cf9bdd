//! The thin layer between the world and the store, as the server has it in `app/`: one transaction for each thing
//! that happens, with the effects of a change followed in it and what it means for other pipelines left in the
//! outbox. It has no HTTP, rights, payloads or traces, and everything in it can be cut off in the middle.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use weir_api::id::{JobId, PipelineId, ProjectId, ResourceGroupId, RunnerId};
use weir_api::runner::RunnerFeatures;
use weir_api::{JobStatus, ProcessMode, RunnerType, Timestamp};
use weir_compiler::Plan;
use weir_compiler::plan::{OnNewCommit, Strategy};
use weir_engine::queue::{Assignment as Checks, required_features};
use weir_engine::{
    Changes, Effect, Event, JobIndex, Outcome, PipelineState, Refused, auto_cancel, resource_group, status,
    timeout,
};
use weir_store::jobs::{self, Assignment, Job};
use weir_store::pipelines::{self, Inserted, NewPipeline, PipelineCache, Transition};
use weir_store::timers::{self, AllDue, Due};
use weir_store::{Db, Sort, TokenDigest, Tx, outbox, projects, queue, resource_groups, runners};

/// Why nothing came of something. Everything was rolled back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    #[error("the store failed: {0}")]
    Store(String),
    #[error("refused: {0}")]
    Refused(Refused),
    #[error("not found")]
    Gone,
    #[error("forbidden")]
    Forbidden,
    #[error("the job is {0} already")]
    Ended(JobStatus),
    #[error("crashed")]
    Crashed,
}

impl From<weir_store::Error> for Stop {
    fn from(error: weir_store::Error) -> Self {
        Self::Store(error.to_string())
    }
}

/// Where in a transaction everything stops, if it does.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Crash(pub(crate) Option<u64>);

impl Crash {
    /// A place at which a transaction may be cut off.
    fn point(&mut self) -> Result<(), Stop> {
        match &mut self.0 {
            Some(0) => Err(Stop::Crashed),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// A change of a pipeline that has committed.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) pipeline: PipelineId,
    pub(crate) event: Event,
    pub(crate) at: Timestamp,
    pub(crate) before: PipelineState,
    pub(crate) after: PipelineState,
    pub(crate) changes: Changes,
    pub(crate) ids: Vec<JobId>,
}

/// What a change leaves for another transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Create the downstream pipeline of a bridge.
    Create(JobId),
    /// Tell the bridge of a pipeline what became of it.
    Follow(PipelineId),
    /// Cancel the children of a pipeline.
    CancelChildren(PipelineId),
    /// Let the bridge of a pipeline wait again.
    RestartUpstream(PipelineId),
    /// Give the resource of a group to the job whose turn it is, if it is free.
    Assign(ResourceGroupId),
}

/// The runner that asks for a job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking {
    pub(crate) runner: TokenDigest,
    pub(crate) features: RunnerFeatures,
    /// The token that the job gets.
    pub(crate) token: TokenDigest,
    /// Whether the artifacts that the job depends on are there.
    pub(crate) complete: bool,
}

/// A new pipeline.
pub(crate) struct Created {
    pub(crate) inserted: Inserted,
    pub(crate) done: Done,
    /// What became of the bridge that started it.
    pub(crate) bridge: Option<Done>,
}

/// The process of a server: it has a database and may be gone at any time.
pub(crate) struct Server {
    runtime: tokio::runtime::Runtime,
    db: Db,
    cache: Arc<PipelineCache>,
}

impl Server {
    pub(crate) fn new(runtime: tokio::runtime::Runtime, db: Db) -> Self {
        Self { runtime, db, cache: Arc::default() }
    }

    pub(crate) fn write<T: Send + 'static>(
        &self,
        f: impl Fn(&mut Tx<'_>) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, Stop> {
        self.runtime.block_on(self.db.write(f))
    }

    pub(crate) fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> weir_store::Result<T> + Send + 'static,
    ) -> Result<T, Stop> {
        Ok(self.runtime.block_on(self.db.read(f))?)
    }

    /// All memory is lost.
    pub(crate) fn forget(&mut self) {
        self.cache = Arc::default();
    }

    /// The process begins anew with what the database holds.
    pub(crate) fn restart(&mut self, open: impl AsyncFnOnce() -> weir_store::Result<Db>) -> Result<(), Stop> {
        self.forget();
        self.db = self.runtime.block_on(open())?;
        Ok(())
    }

    /// The process ends.
    pub(crate) fn stop(self) -> tokio::runtime::Runtime {
        self.runtime
    }

    /// `app/pipelines/create.rs`. The bridge that starts it, if one does, hears of it in the same transaction.
    pub(crate) fn create(
        &self,
        new: NewPipeline,
        plan: Plan,
        bridge: Option<(PipelineId, JobIndex, Option<Strategy>)>,
        now: Timestamp,
        crash: Crash,
    ) -> Result<Created, Stop> {
        let cache = self.cache.clone();
        self.write(move |tx| {
            let mut crash = crash;
            let before = weir_engine::create(&plan, now);
            let mut after = before.clone();
            let changes = weir_engine::apply(&mut after, Event::Created, now).map_err(Stop::Refused)?;
            // Bridge and downstream change at once.
            let bridge = match bridge {
                Some((parent, job, strategy)) => {
                    let event = Event::DownstreamCreated { job, strategy };
                    transition(tx, &cache, parent, now, |_, _| Ok(Some(event)))?
                }
                None => None,
            };
            crash.point()?;
            let inserted = pipelines::insert(tx, &new, &after, &plan.jobs, &changes, now)?;
            crash.point()?;
            let ids = inserted.jobs.clone();
            let done =
                Done { pipeline: inserted.id, event: Event::Created, at: now, before, after, changes, ids };
            follow(tx, &done, new.upstream.map(|upstream| upstream.job_id), now)?;
            crash.point()?;
            Ok(Created { inserted, done, bridge })
        })
    }

    /// `app/pipelines/redundant.rs`
    pub(crate) fn redundant(
        &self,
        project: ProjectId,
        name: String,
        id: PipelineId,
    ) -> Result<Vec<pipelines::Pipeline>, Stop> {
        self.read(move |tx| pipelines::redundant(tx, project, &name, id))
    }

    /// `app/pipelines/redundant.rs`
    pub(crate) fn cancel_redundant(
        &self,
        old: PipelineId,
        rule: Option<OnNewCommit>,
        by: PipelineId,
        now: Timestamp,
        crash: Crash,
    ) -> Result<Option<Done>, Stop> {
        let cache = self.cache.clone();
        self.write(move |tx| {
            let mut crash = crash;
            let mut chosen = None;
            let done = transition(tx, &cache, old, now, |state, _| {
                chosen = auto_cancel::on_new_commit(state, rule);
                Ok(chosen)
            })?;
            crash.point()?;
            if done.is_some() {
                pipelines::set_canceled_by(tx, old, by)?;
            }
            crash.point()?;
            Ok(done)
        })
    }

    /// `app/changes.rs`: one event.
    pub(crate) fn change(
        &self,
        pipeline: PipelineId,
        event: Event,
        now: Timestamp,
        crash: Crash,
    ) -> Result<Done, Stop> {
        let cache = self.cache.clone();
        self.write(move |tx| {
            let mut crash = crash;
            let done = transition(tx, &cache, pipeline, now, |_, _| Ok(Some(event)))?;
            crash.point()?;
            done.ok_or(Stop::Gone)
        })
    }

    /// `app/resource_groups.rs`: gives the resource of a group to the job whose turn it is. None if it has a holder, or
    /// it is nobody's turn.
    pub(crate) fn assign(
        &self,
        group: ResourceGroupId,
        now: Timestamp,
        crash: Crash,
    ) -> Result<Option<Done>, Stop> {
        let cache = self.cache.clone();
        self.write(move |tx| {
            let mut crash = crash;
            let Some(group) = resource_groups::find(tx, group)? else { return Ok(None) };
            if resource_groups::holder(tx, &group)?.is_some() {
                return Ok(None);
            }
            let mode = group.process_mode;
            let direction = if resource_group::is_newest_first(mode) { Sort::Desc } else { Sort::Asc };
            let candidates = resource_group::candidates(mode);
            let first = resource_groups::first_of_each(tx, group.id, candidates, direction)?;
            let Some(next) = resource_group::next(mode, first) else { return Ok(None) };
            let (pipeline, index) = jobs::locate(tx, next.job)?.ok_or(Stop::Gone)?;
            let event = Event::ResourceGranted { job: index };
            let done = transition(tx, &cache, pipeline, now, |_, _| Ok(Some(event)))?;
            crash.point()?;
            if !resource_groups::give(tx, group.id, group.job_id, next.job)? {
                return Err(Stop::Gone);
            }
            crash.point()?;
            Ok(done)
        })
    }

    /// `app/pipelines.rs`: deletes a pipeline; the job whose turn it was may have been one of it.
    pub(crate) fn delete(&self, id: PipelineId, project: ProjectId, now: Timestamp) -> Result<(), Stop> {
        self.write(move |tx| {
            pipelines::delete(tx, id, now)?;
            for group in resource_groups::awaited(tx, project)? {
                outbox::add(tx, &Task::Assign(group), now)?;
            }
            Ok(())
        })
    }

    /// `app/resource_groups.rs`: another order for those who wait.
    pub(crate) fn set_process_mode(
        &self,
        project: ProjectId,
        key: &'static str,
        mode: ProcessMode,
        now: Timestamp,
    ) -> Result<bool, Stop> {
        self.write(move |tx| {
            let Some(group) = resource_groups::find_by_key(tx, project, key)? else { return Ok(false) };
            resource_groups::set_process_mode(tx, group.id, mode, now)?;
            outbox::add(tx, &Task::Assign(group.id), now)?;
            Ok(true)
        })
    }

    /// `app/job_requests.rs`: the first job of the queue for the runner runs now, or it failed because it cannot.
    pub(crate) fn request(
        &self,
        asking: Asking,
        now: Timestamp,
        crash: Crash,
    ) -> Result<Option<(Job, Done)>, Stop> {
        let (contact, there) = self.read(move |tx| match runners::find_by_digest(tx, &asking.runner)? {
            Some(runner) => {
                let due = runners::contact_is_due(runner.contacted_at, now);
                Ok((due.then_some(runner.id), queue::has_any(tx, &runner)?))
            }
            None => Ok((None, false)),
        })?;
        if let Some(id) = contact {
            self.write(move |tx| Ok(runners::contacted(tx, id, now)?))?;
        }
        if !there {
            return Ok(None);
        }
        let cache = self.cache.clone();
        self.write(move |tx| {
            let mut crash = crash;
            let runner = runners::find_by_digest(tx, &asking.runner)?.ok_or(Stop::Forbidden)?;
            let Some(candidate) = queue::claimable(tx, &runner)? else { return Ok(None) };
            let job = jobs::find(tx, candidate.job_id)?.filter(|job| job.status == JobStatus::Pending);
            let Some(job) = job else {
                return Err(Stop::Store("a job in the queue is not pending".to_owned()));
            };
            let definition = jobs::definition(tx, &job)?;
            let project = projects::find(tx, job.project_id)?.ok_or(Stop::Gone)?;
            let checks = Checks {
                dependencies_valid: asking.complete,
                required: required_features(&definition, false),
                offered: asking.features,
                archived: false,
                project_deleted: project.deleting,
                builds_enabled: true,
                user_blocked: false,
            };
            let event = match checks.refusal() {
                Some(reason) => {
                    let outcome = Outcome::Failed { reason, exit_code: None };
                    Event::Finished { job: job.index, outcome }
                }
                None => {
                    let to = Assignment {
                        runner_id: runner.id,
                        runner_manager_id: None,
                        on_instance_runner: runner.runner_type == RunnerType::Instance,
                        token: asking.token,
                    };
                    jobs::assign(tx, job.id, &to)?;
                    crash.point()?;
                    let (timeout, _) = timeout::effective(
                        project.settings.build_timeout,
                        definition.timeout,
                        runner.maximum_timeout,
                    );
                    let cancel_gracefully =
                        asking.features.has(weir_api::runner::RunnerFeature::CancelGracefully);
                    Event::Picked { job: job.index, timeout, cancel_gracefully }
                }
            };
            let done = transition(tx, &cache, job.pipeline_id, now, |_, _| Ok(Some(event)))?;
            crash.point()?;
            Ok(done.map(|done| (job, done)))
        })
    }

    /// `app/job_updates.rs`: what a runner says of a job. None: it still runs.
    pub(crate) fn update(
        &self,
        id: JobId,
        token: TokenDigest,
        outcome: Option<Outcome>,
        now: Timestamp,
        crash: Crash,
    ) -> Result<Done, Stop> {
        let cache = self.cache.clone();
        self.write(move |tx| {
            let mut crash = crash;
            let job = jobs::find_by_token(tx, &token)?.filter(|job| job.id == id).ok_or(Stop::Forbidden)?;
            if job.erased_at.is_some() {
                return Err(Stop::Forbidden);
            }
            let done = transition(tx, &cache, job.pipeline_id, now, |state, _| {
                let status = state.job(job.index).status;
                if !matches!(status, JobStatus::Running | JobStatus::Canceling) {
                    return Err(Stop::Ended(status));
                }
                Ok(Some(match outcome {
                    None => Event::Alive { job: job.index },
                    Some(outcome) => Event::Finished { job: job.index, outcome },
                }))
            })?;
            crash.point()?;
            done.ok_or(Stop::Gone)
        })
    }

    /// `app/overdue.rs`: the jobs that a runner had.
    pub(crate) fn jobs_of(&self, runner: RunnerId) -> Result<Vec<Job>, Stop> {
        let filter = jobs::Filter {
            runner_id: Some(runner),
            scope: vec![JobStatus::Running, JobStatus::Canceling],
            ..jobs::Filter::default()
        };
        self.read(move |tx| jobs::list(tx, &filter, weir_store::Page::first(i64::MAX)))
    }

    /// `app/overdue.rs`: the jobs whose time has come.
    pub(crate) fn overdue(&self, now: Timestamp) -> Result<AllDue, Stop> {
        self.read(move |tx| timers::due(tx, now, 1000))
    }

    /// `app/overdue.rs`: does what is to be done with a job whose time has come, as it is now. `can_run` says whether a
    /// runner could take it, `may_start` whether its user may start it.
    pub(crate) fn look_after(
        &self,
        due: Due,
        can_run: bool,
        may_start: bool,
        now: Timestamp,
        crash: Crash,
    ) -> Result<Done, Stop> {
        let cache = self.cache.clone();
        self.write(move |tx| {
            let mut crash = crash;
            let done = transition(tx, &cache, due.pipeline_id, now, |state, _| {
                let job = state.job(due.index);
                let is_due = job.scheduled_at.is_some_and(|at| at <= now);
                if may_start && job.status == JobStatus::Scheduled && is_due {
                    return Ok(Some(Event::Due { job: due.index }));
                }
                let outcome = timeout::overdue(job, now, || can_run).ok_or(Stop::Gone)?;
                Ok(Some(Event::Finished { job: due.index, outcome }))
            })?;
            crash.point()?;
            done.ok_or(Stop::Gone)
        })
    }

    /// `app/outbox.rs`: the tasks that are due now, taken.
    pub(crate) fn take_tasks(&self, now: Timestamp, until: Timestamp) -> Result<Vec<outbox::Due>, Stop> {
        self.write(move |tx| Ok(outbox::take_due(tx, now, until, 20)?))
    }

    /// `app/outbox.rs`
    pub(crate) fn task_done(&self, id: weir_api::id::TaskId) -> Result<(), Stop> {
        self.write(move |tx| Ok(outbox::done(tx, id)?))
    }
}

/// Applies the event that `choose` finds right to a pipeline, and what follows from it.
fn transition(
    tx: &mut Tx<'_>,
    cache: &PipelineCache,
    pipeline: PipelineId,
    now: Timestamp,
    choose: impl FnOnce(&PipelineState, &[JobId]) -> Result<Option<Event>, Stop>,
) -> Result<Option<Done>, Stop> {
    let mut seen = None;
    let done = pipelines::transition(tx, cache, pipeline, now, |state, ids| {
        let Some(event) = choose(state, ids)? else { return Ok(Changes::default()) };
        let before = state.clone();
        let changes = weir_engine::apply(state, event, now).map_err(Stop::Refused)?;
        seen = Some((event, before, state.clone()));
        Ok::<_, Stop>(changes)
    })?;
    let Transition { changes, upstream, ids, .. } = done.ok_or(Stop::Gone)?;
    let Some((event, before, after)) = seen else { return Ok(None) };
    let done = Done { pipeline, event, at: now, before, after, changes, ids: ids.to_vec() };
    follow(tx, &done, upstream, now)?;
    Ok(Some(done))
}

/// `app/changes.rs`: what a change entails in the same transaction.
fn follow(tx: &mut Tx<'_>, done: &Done, upstream: Option<JobId>, now: Timestamp) -> Result<(), Stop> {
    let mut in_groups = Vec::new();
    let id = |index: JobIndex| done.ids.get(index.0 as usize).copied().ok_or(Stop::Gone);
    for effect in &done.changes.effects {
        let task = match *effect {
            Effect::TriggerDownstream(bridge) => Task::Create(id(bridge)?),
            Effect::PipelineStatus { to, .. }
                if upstream.is_some() && (status::is_completed(to) || to == JobStatus::Manual) =>
            {
                Task::Follow(done.pipeline)
            }
            Effect::RestartUpstream if upstream.is_some() => Task::RestartUpstream(done.pipeline),
            Effect::CancelChildren if pipelines::has_children(tx, done.pipeline)? => {
                Task::CancelChildren(done.pipeline)
            }
            Effect::RequestResource(job) | Effect::ReleaseResource(job) => {
                in_groups.push(id(job)?);
                continue;
            }
            _ => continue,
        };
        outbox::add(tx, &task, now)?;
    }
    for group in resource_groups::of_jobs(tx, &in_groups)? {
        outbox::add(tx, &Task::Assign(group), now)?;
    }
    Ok(())
}
