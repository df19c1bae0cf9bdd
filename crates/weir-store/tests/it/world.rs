//! What most cases begin with.

use weir_api::id::{JobId, PipelineId};
use weir_api::{
    FeatureAccess, JobStatus, PipelineSource, RunnerAccessLevel, RunnerType, Timestamp, Visibility,
};
use weir_compiler::plan::{Action, AllowFailure, Dependencies, Job, Plan, Run, Scheduling, When};
use weir_engine::{Event, JobIndex, Refused};
use weir_store::namespaces::{self, Namespace};
use weir_store::pipelines::{self, Inserted, NewPipeline, PipelineCache, Transition};
use weir_store::projects::{self, NewProject, Project, Settings};
use weir_store::runners::{self, NewRunner, Runner};
use weir_store::users::{self, NewUser, User};
use weir_store::{Error, Result, TokenDigest, Tx, jobs, queue};

/// A point in time; `at(1)` is a second after `at(0)`.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_767_600_000_000_000).plus_secs(seconds)
}

/// An error of the engine or of the store.
#[derive(Debug, PartialEq)]
pub(crate) enum Failure {
    Refused(Refused),
    Store(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(error.to_string())
    }
}

pub(crate) fn user(tx: &mut Tx<'_>, name: &str) -> Result<User> {
    let new = NewUser {
        username: name.to_owned(),
        name: name.to_owned(),
        email: format!("{name}@ci.example"),
        admin: false,
        bot: false,
    };
    let user = users::insert(tx, &new, at(0))?;
    namespaces::insert_user(tx, &user, at(0))?;
    Ok(user)
}

pub(crate) fn group(
    tx: &mut Tx<'_>,
    creator: &User,
    parent: Option<&Namespace>,
    path: &str,
) -> Result<Namespace> {
    let new = weir_store::groups::NewGroup {
        parent: parent.cloned(),
        name: path.to_uppercase(),
        path: path.to_owned(),
        description: String::new(),
        visibility: Visibility::Private,
        creator: creator.id,
    };
    weir_store::groups::insert(tx, &new, at(0))
}

pub(crate) fn project_in(
    tx: &mut Tx<'_>,
    namespace: &Namespace,
    creator: &User,
    path: &str,
) -> Result<Project> {
    let new = NewProject {
        namespace_id: namespace.id,
        creator_id: creator.id,
        name: path.to_owned(),
        path: path.to_owned(),
        description: None,
        visibility: Visibility::Private,
        default_branch: Some("main".to_owned()),
        settings: Settings::default(),
        builds_access_level: FeatureAccess::Enabled,
        public_jobs: true,
        shared_runners_enabled: true,
        group_runners_enabled: true,
    };
    projects::insert(tx, &new, at(0))
}

/// A project of a user who has that name too.
pub(crate) fn project(tx: &mut Tx<'_>, name: &str) -> Result<Project> {
    let user = user(tx, name)?;
    let namespace = namespaces::of_user(tx, user.id)?.ok_or(Error::NoRow)?;
    project_in(tx, &namespace, &user, "project")
}

/// A job of stage 0 with tags.
pub(crate) fn job(name: &str, tags: &[&str]) -> Job {
    Job {
        name: name.to_owned(),
        stage: 0,
        action: Action::Run(Box::new(Run { script: vec!["make".to_owned()], ..Run::default() })),
        when: When::OnSuccess,
        start_in: None,
        allow_failure: AllowFailure::No,
        scheduling: Scheduling::Stage,
        dependencies: Dependencies::Default,
        variables: Vec::new(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        retry: None,
        timeout: None,
        interruptible: false,
        resource_group: None,
        environment: None,
        parallel: None,
        manual_confirmation: None,
        coverage: None,
    }
}

/// Jobs without tags, all of one stage.
pub(crate) fn plan(names: &[&str]) -> Plan {
    let jobs = names.iter().map(|name| job(name, &[])).collect();
    Plan { stages: vec!["test".to_owned()], jobs, ..Plan::default() }
}

pub(crate) fn new_pipeline(project: &Project) -> NewPipeline {
    NewPipeline {
        project_id: project.id,
        sha: "a".repeat(40),
        before_sha: None,
        merge_request_id: None,
        merged: None,
        ref_name: "main".to_owned(),
        tag: false,
        protected: false,
        source: PipelineSource::Push,
        name: None,
        user_id: project.creator_id,
        yaml_errors: None,
        failure_reason: None,
        config_source: "repository_source".to_owned(),
        upstream: None,
        on_new_commit: None,
        merged_yaml: None,
    }
}

/// Inserts a pipeline as a server does.
pub(crate) fn insert(tx: &mut Tx<'_>, new: &NewPipeline, plan: &Plan, now: Timestamp) -> Result<Inserted> {
    let mut state = weir_engine::create(plan, now);
    let changes = weir_engine::apply(&mut state, Event::Created, now)
        .map_err(|refused| Error::Schema(refused.to_string()))?;
    pipelines::insert(tx, new, &state, &plan.jobs, &changes, now)
}

pub(crate) fn pipeline(tx: &mut Tx<'_>, project: &Project, names: &[&str]) -> Result<Inserted> {
    insert(tx, &new_pipeline(project), &plan(names), at(0))
}

/// Applies one event.
pub(crate) fn apply(
    tx: &mut Tx<'_>,
    cache: &PipelineCache,
    id: PipelineId,
    event: Event,
    now: Timestamp,
) -> Result<Transition, Failure> {
    let done = pipelines::transition(tx, cache, id, now, |state, _| {
        weir_engine::apply(state, event, now).map_err(Failure::Refused)
    })?;
    done.ok_or(Failure::Store("no such pipeline".to_owned()))
}

pub(crate) fn picked(job: JobIndex) -> Event {
    Event::Picked { job, timeout: 3600, cancel_gracefully: true }
}

pub(crate) fn succeeded(job: JobIndex) -> Event {
    Event::Finished { job, outcome: weir_engine::Outcome::Success }
}

pub(crate) fn runner(
    tx: &mut Tx<'_>,
    token: &str,
    tags: &[&str],
    change: impl FnOnce(&mut NewRunner),
) -> Result<Runner> {
    let mut new = NewRunner {
        runner_type: RunnerType::Instance,
        digest: TokenDigest::of(token),
        group_id: None,
        project_id: None,
        description: Some(token.to_owned()),
        maintenance_note: None,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        run_untagged: true,
        locked: false,
        paused: false,
        access_level: RunnerAccessLevel::NotProtected,
        maximum_timeout: None,
        token_expires_at: None,
        created_by: None,
    };
    change(&mut new);
    runners::insert(tx, &new, at(0))
}

/// Takes the next job for a runner, as a server does.
pub(crate) fn claim(tx: &mut Tx<'_>, runner: &Runner, now: Timestamp) -> Result<Option<JobId>, Failure> {
    let Some(candidate) = queue::claimable(tx, runner)? else { return Ok(None) };
    let (pipeline, index) = jobs::locate(tx, candidate.job_id)?.ok_or(Error::NoRow)?;
    let assignment = jobs::Assignment {
        runner_id: runner.id,
        runner_manager_id: None,
        on_instance_runner: runner.runner_type == RunnerType::Instance,
        token: TokenDigest::of(&format!("job {}", candidate.job_id)),
    };
    jobs::assign(tx, candidate.job_id, &assignment)?;
    apply(tx, &PipelineCache::default(), pipeline, picked(index), now)?;
    Ok(Some(candidate.job_id))
}

pub(crate) fn status(tx: &mut Tx<'_>, id: JobId) -> Result<JobStatus> {
    Ok(jobs::find(tx, id)?.ok_or(Error::NoRow)?.status)
}
