//! `POST /jobs/request`: a runner asks for a job, and waits until there is one for it.

use weir_api::runner::{JobPayload, JobRequest, RunnerFeature, RunnerFeatures};
use weir_api::{FailureReason, FeatureAccess, JobStatus, Secret, Timestamp, UserState};
use weir_compiler::plan;
use weir_engine::payload::Archive;
use weir_engine::queue::{Assignment as Checks, required_features};
use weir_engine::{Event, Outcome, timeout};
use weir_store::jobs::{self, Assignment, Job};
use weir_store::pipelines::Transition;
use weir_store::runners::{self, ManagerInfo, Runner};
use weir_store::secrets::TokenDigest;
use weir_store::{TokenKind, Tx, projects, queue, users};

use super::{changes, payloads};
use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// What a runner gets.
#[derive(Debug)]
pub enum Requested {
    /// A job.
    Job {
        /// Everything that the runner needs.
        payload: Box<JobPayload>,
        /// The state of the queue.
        last_update: String,
    },
    /// Nothing for now.
    None {
        /// The state of the queue.
        last_update: String,
    },
}

/// The runner that asks, known for the whole wait.
#[derive(Debug, Clone)]
struct Asking {
    token: TokenDigest,
    system_id: Option<String>,
    info: ManagerInfo,
    features: RunnerFeatures,
}

/// What one look at the queue came to.
enum Look {
    Taken(Box<Taken>),
    /// A job was there and is not for this runner any more: look again at once.
    Again,
    Nothing,
}

/// A job that left the queue, and what that changed.
struct Taken {
    job: Job,
    /// The archives that it gets.
    archives: Vec<Archive>,
    done: Transition,
}

/// Hands out a job, or waits for one as long as the configuration says.
pub async fn request(ctx: &Ctx, request: JobRequest) -> Result<Requested> {
    let asking = Asking {
        token: TokenDigest::of(request.token.expose()),
        system_id: request.system_id.filter(|id| !id.is_empty()),
        info: super::runners::manager_info(&request.info),
        features: request.info.features,
    };
    contact(ctx, &asking).await?;
    let deadline = tokio::time::Instant::now() + ctx.config.long_poll;
    ctx.metrics.waiting_runners.inc();
    let requested = wait(ctx, &asking, deadline).await;
    ctx.metrics.waiting_runners.dec();
    requested
}

async fn wait(ctx: &Ctx, asking: &Asking, deadline: tokio::time::Instant) -> Result<Requested> {
    let mut listener = ctx.bus.listen();
    loop {
        let last_update = format!("{:032x}", ctx.bus.queue_version());
        if ctx.is_draining() {
            return Ok(Requested::None { last_update });
        }
        let token = Secret::from(TokenKind::Job.generate()?.into_exposed());
        match look(ctx, asking, &token).await? {
            Look::Taken(taken) => match payloads::build(ctx, &taken.job, &token, taken.archives).await {
                Ok(payload) => return Ok(Requested::Job { payload: Box::new(payload), last_update }),
                Err(error) => give_up(ctx, &taken.job, &error).await?,
            },
            Look::Again => {}
            Look::Nothing => {
                let woken = listener.wait_for(|wake| wake == Wake::Queue);
                if tokio::time::timeout_at(deadline, woken).await.is_err() {
                    return Ok(Requested::None { last_update });
                }
            }
        }
    }
}

/// Remembers that the runner and its process called, now and then; refuses an unknown token.
async fn contact(ctx: &Ctx, asking: &Asking) -> Result<()> {
    let (wanted, now) = (asking.clone(), ctx.now());
    let due = ctx
        .db
        .read(move |tx| {
            let runner = super::runners::authenticate(tx, &wanted.token, now)?;
            let manager = match &wanted.system_id {
                Some(system_id) => runners::manager(tx, runner.id, system_id)?
                    .is_none_or(|it| runners::contact_is_due(it.contacted_at, now) || it.info != wanted.info),
                None => false,
            };
            let due = manager || runners::contact_is_due(runner.contacted_at, now);
            Ok::<_, Error>(due.then_some(runner.id))
        })
        .await?;
    if let Some(id) = due {
        let asking = asking.clone();
        ctx.db
            .write(move |tx| {
                runners::contacted(tx, id, now)?;
                if let Some(system_id) = &asking.system_id {
                    runners::manager_contacted(tx, id, system_id, &asking.info, now)?;
                }
                Ok::<_, Error>(())
            })
            .await?;
    }
    Ok(())
}

/// Looks at the queue. A look that finds nothing writes nothing.
async fn look(ctx: &Ctx, asking: &Asking, token: &Secret) -> Result<Look> {
    let (seen, now) = (asking.clone(), ctx.now());
    let there = ctx
        .db
        .read(move |tx| {
            let runner = super::runners::authenticate(tx, &seen.token, now)?;
            Ok::<_, Error>(queue::has_any(tx, &runner)?)
        })
        .await?;
    if !there {
        return Ok(Look::Nothing);
    }
    let (asking, shared, digest) = (asking.clone(), ctx.clone(), TokenDigest::of(token.expose()));
    let taken = ctx.db.write(move |tx| take(tx, &shared, &asking, digest, now)).await?;
    let Some(taken) = taken else { return Ok(Look::Again) };
    let job = &taken.job;
    changes::announce(ctx, job.project_id, job.pipeline_id, &taken.done);
    if job.status != JobStatus::Running {
        return Ok(Look::Again);
    }
    if let Some(queued) = job.queued_at {
        ctx.metrics.queue_seconds.observe(now.secs_since(queued));
    }
    Ok(Look::Taken(Box::new(taken)))
}

/// Takes the first job of the queue for the runner: it runs now, or it failed because it cannot run.
fn take(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    asking: &Asking,
    token: TokenDigest,
    now: Timestamp,
) -> Result<Option<Taken>> {
    let runner = super::runners::authenticate(tx, &asking.token, now)?;
    let Some(candidate) = queue::claimable(tx, &runner)? else { return Ok(None) };
    let Some(job) = jobs::find(tx, candidate.job_id)?.filter(|job| job.status == JobStatus::Pending) else {
        return Ok(None);
    };
    let definition = jobs::definition(tx, &job)?;
    let (archives, complete) = payloads::archives(tx, ctx, &job, &definition, now)?;
    let event = match refusal(tx, asking, &job, &definition, complete)? {
        Some(reason) => {
            let outcome = Outcome::Failed { reason, exit_code: None };
            Event::Finished { job: job.index, outcome }
        }
        None => assign(tx, asking, &runner, &job, definition.timeout, token)?,
    };
    let done =
        changes::transition(tx, ctx, job.pipeline_id, event, |_| Error::Conflict("409 Conflict".to_owned()))?;
    let job = jobs::find(tx, job.id)?.ok_or(Error::RecordNotFound)?;
    Ok(Some(Taken { job, archives, done }))
}

/// Why the job cannot run, whoever takes it.
fn refusal(
    tx: &mut Tx<'_>,
    asking: &Asking,
    job: &Job,
    definition: &plan::Job,
    dependencies_valid: bool,
) -> Result<Option<FailureReason>> {
    let project = projects::find(tx, job.project_id)?;
    let user = job.user_id.map(|id| users::find(tx, id)).transpose()?.flatten();
    if !super::trust::lets_claim(tx, job)? {
        return Ok(Some(FailureReason::UnmetPrerequisites));
    }
    let checks = Checks {
        dependencies_valid,
        required: required_features(definition, false),
        offered: asking.features,
        archived: false,
        project_deleted: project.as_ref().is_none_or(|project| project.deleting),
        builds_enabled: project.is_some_and(|project| project.builds_access_level != FeatureAccess::Disabled),
        user_blocked: user.is_some_and(|user| user.state != UserState::Active),
    };
    Ok(checks.refusal())
}

/// Writes the runner into the job's row.
fn assign(
    tx: &mut Tx<'_>,
    asking: &Asking,
    runner: &Runner,
    job: &Job,
    own_timeout: Option<u64>,
    token: TokenDigest,
) -> Result<Event> {
    let manager = match &asking.system_id {
        Some(system_id) => runners::manager(tx, runner.id, system_id)?.map(|manager| manager.id),
        None => None,
    };
    let to = Assignment {
        runner_id: runner.id,
        runner_manager_id: manager,
        on_instance_runner: runner.runner_type == weir_api::RunnerType::Instance,
        token,
    };
    jobs::assign(tx, job.id, &to)?;
    let project = projects::find(tx, job.project_id)?.ok_or(Error::RecordNotFound)?;
    let (timeout, _) =
        timeout::effective(project.settings.build_timeout, own_timeout, runner.maximum_timeout);
    let cancel_gracefully = asking.features.has(RunnerFeature::CancelGracefully);
    Ok(Event::Picked { job: job.index, timeout, cancel_gracefully })
}

/// The job was taken and cannot be described to its runner: it fails, and is retried if its policy says so.
async fn give_up(ctx: &Ctx, job: &Job, error: &Error) -> Result<()> {
    tracing::error!(job = job.id.0, %error, "a job could not be handed to its runner");
    let (pipeline, index, shared) = (job.pipeline_id, job.index, ctx.clone());
    let outcome = Outcome::Failed { reason: FailureReason::SchedulerFailure, exit_code: None };
    let event = Event::Finished { job: index, outcome };
    let done = ctx
        .db
        .write(move |tx| changes::transition(tx, &shared, pipeline, event, |_| Error::RecordNotFound))
        .await?;
    changes::announce(ctx, job.project_id, job.pipeline_id, &done);
    Ok(())
}
