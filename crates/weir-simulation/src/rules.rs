//! What must hold after every change of a pipeline, written down once more, slowly and without the engine's code.
//!
//! Sources: `lib/gitlab/ci/status/composite.rb`, `app/services/ci/process_build_service.rb`,
//! `app/models/commit_status.rb`, `app/models/ci/stage.rb`, `app/models/ci/pipeline.rb`.

use anyhow::{Result, ensure};
use weir_api::JobStatus;
use weir_api::JobStatus::{
    Canceled, Canceling, Created, Failed, Manual, Pending, Preparing, Running, Scheduled, Skipped, Success,
    WaitingForCallback, WaitingForResource,
};
use weir_compiler::Plan;
use weir_compiler::plan::{self, Scheduling, When};
use weir_engine::{Changes, Effect, Event, JobIndex, JobState, PipelineState};

/// A job as the composite rule sees it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    As(JobStatus),
    Warning,
    Ignored,
}

/// The first row of the table that matches says what some jobs come to together.
fn composite<'a>(jobs: impl Iterator<Item = &'a JobState>, of_needs: bool) -> JobStatus {
    use Seen::{As, Ignored, Warning};
    let seen: Vec<Seen> = jobs
        .map(|job| match (job.status, job.allow_failure) {
            (Failed | Canceled, true) => Warning,
            (Manual, true) => Ignored,
            (status, _) => As(status),
        })
        .collect();
    if of_needs && seen.iter().any(|it| [As(Skipped), Ignored].contains(it)) {
        return Skipped;
    }
    let only: [(&[Seen], JobStatus); 7] = [
        (&[], Success),
        (&[As(Skipped), Ignored], Skipped),
        (&[As(Success), As(Skipped), Warning, Ignored], Success),
        (&[As(Created), Warning, Ignored], Created),
        (&[As(Preparing), Warning, Ignored], Preparing),
        (&[As(Canceled), As(Success), As(Skipped), Warning, Ignored], Canceled),
        (&[As(Pending), As(Created), As(Skipped), Warning, Ignored], Pending),
    ];
    if let Some((_, status)) = only.iter().find(|(of, _)| seen.iter().all(|it| of.contains(it))) {
        return *status;
    }
    let any = [
        (Running, Running),
        (Pending, Running),
        (WaitingForResource, WaitingForResource),
        (WaitingForCallback, WaitingForCallback),
        (Manual, Manual),
        (Scheduled, Scheduled),
        (Preparing, Preparing),
        (Created, Running),
        (Canceling, Canceling),
    ];
    any.iter().find(|(of, _)| seen.contains(&As(*of))).map_or(Failed, |(_, status)| *status)
}

fn latest(state: &PipelineState) -> impl Iterator<Item = &JobState> {
    state.jobs.iter().filter(|job| !job.retried)
}

/// Whether nothing more happens by itself.
pub(crate) const fn is_completed(status: JobStatus) -> bool {
    matches!(status, Success | Failed | Canceled | Skipped)
}

/// The definition of a row.
pub(crate) fn definition<'a>(plan: &'a Plan, row: &JobState) -> Option<&'a plan::Job> {
    plan.jobs.iter().find(|job| *job.name == *row.name)
}

/// What the jobs that a job waits for have come to.
fn previous(plan: &Plan, state: &PipelineState, row: &JobState) -> JobStatus {
    match definition(plan, row).map(|job| &job.scheduling) {
        Some(Scheduling::Needs(needs)) => {
            let needed = |other: &&JobState| needs.iter().any(|need| *need.job == *other.name);
            composite(latest(state).filter(needed), true)
        }
        _ => composite(latest(state).filter(|other| other.stage < row.stage), false),
    }
}

/// What becomes of a created job that waited for jobs which have come to `previous`.
fn verdict(job: &plan::Job, enqueue_immediately: bool, previous: JobStatus) -> JobStatus {
    let by_needs = matches!(job.scheduling, Scheduling::Needs(_));
    let proceeds = match (job.when, previous) {
        (When::OnFailure, Failed) | (When::Always, Success | Skipped | Failed) => true,
        (When::OnFailure | When::Always, _) => false,
        (_, Success) => true,
        (_, Skipped) => !by_needs,
        _ => false,
    };
    let bridge = matches!(job.action, plan::Action::Trigger(_));
    let enqueued = if job.resource_group.is_some() { WaitingForResource } else { Pending };
    match job.when {
        _ if !proceeds => Skipped,
        _ if enqueue_immediately => enqueued,
        When::Delayed if job.start_in.is_some() && !bridge => Scheduled,
        When::Delayed if !bridge => Manual,
        When::Manual => Manual,
        _ => enqueued,
    }
}

/// Whether the state machine of jobs has this transition.
fn is_transition(bridge: bool, from: JobStatus, to: JobStatus) -> bool {
    // It follows its downstream pipeline from wherever it is, and waits for it again.
    if bridge && matches!(to, Success | Failed | Canceled | Skipped | Manual | Pending | WaitingForResource) {
        return true;
    }
    match to {
        Created => matches!(from, Skipped | Manual),
        WaitingForResource => matches!(from, Created | Skipped | Manual | Scheduled),
        Preparing => matches!(from, Created | Skipped | Manual | Scheduled | WaitingForResource),
        Pending => matches!(from, Created | Skipped | Manual | Scheduled | WaitingForResource | Preparing),
        Running => from == Pending,
        Manual => matches!(from, Created | Scheduled),
        Scheduled => from == Created,
        Skipped => matches!(from, Created | WaitingForResource | Preparing | Pending),
        Success => {
            matches!(from, Created | WaitingForResource | Preparing | WaitingForCallback | Pending | Running)
        }
        Failed => !is_completed(from) && from != Canceling,
        Canceling => from == Running,
        Canceled => !is_completed(from),
        WaitingForCallback => false,
    }
}

/// What a stage that has `current` becomes when its jobs come to `computed`.
fn stage(current: JobStatus, computed: JobStatus) -> JobStatus {
    match computed {
        Created => current,
        Canceling if current == Canceled => Canceled,
        _ => computed,
    }
}

/// What a pipeline that has `current` becomes when its jobs come to `computed`.
fn pipeline(current: JobStatus, computed: JobStatus) -> JobStatus {
    match computed {
        Created => current,
        Pending if matches!(current, Success | Failed | Canceling | Canceled) => Running,
        Pending if matches!(current, Running | WaitingForCallback) => current,
        Canceling if current == Canceled => Canceled,
        _ => computed,
    }
}

/// Whether the event itself, not the state of other jobs, may decide over a created job.
fn is_decided_by(event: Event, job: JobIndex, to: JobStatus, before: &PipelineState) -> bool {
    match event {
        Event::Finished { job: ended, .. } => ended == job || to == Canceled && before.cancel_on_job_failure,
        Event::Cancel { job: canceled, .. } => canceled == job && to == Canceled,
        Event::CancelPipeline { .. } | Event::CancelInterruptible => to == Canceled,
        Event::DropPipeline { .. } => to == Failed,
        Event::DownstreamStatus { job: bridge, .. } | Event::DownstreamRestarted { job: bridge } => {
            bridge == job
        }
        _ => false,
    }
}

/// Whether a change of a pipeline of this plan is right.
pub(crate) fn check(
    plan: &Plan,
    before: &PipelineState,
    event: Event,
    changes: &Changes,
    after: &PipelineState,
) -> Result<()> {
    for effect in &changes.effects {
        let Effect::JobStatus { job: index, from, to } = *effect else { continue };
        let row = after.job(index);
        let job = definition(plan, row).ok_or_else(|| anyhow::anyhow!("{} is not planned", row.name))?;
        let bridge = matches!(job.action, plan::Action::Trigger(_));
        ensure!(is_transition(bridge, from, to), "{} must not go from {from} to {to}", row.name);
        if from == Created && !is_decided_by(event, index, to, before) {
            let previous = previous(plan, after, row);
            ensure!(is_completed(previous), "{} became {to} while what it waits for is {previous}", row.name);
            let right = verdict(job, row.enqueue_immediately, previous);
            ensure!(to == right, "{} became {to}, not {right}: what it waits for is {previous}", row.name);
        }
        if to == Running {
            let picked = matches!(event, Event::Picked { job, .. } if job == index);
            let triggered = matches!(event, Event::DownstreamCreated { job, .. } if job == index);
            ensure!(picked && !bridge || triggered && bridge, "{} runs without a runner", row.name);
        }
    }
    composites(before, after)?;
    for row in latest(after) {
        let previous = previous(plan, after, row);
        let waits = row.status != Created || !is_completed(previous);
        ensure!(waits, "{} waits although what it waits for is {previous}", row.name);
        let others = latest(after).filter(|other| *other.name == *row.name).count();
        ensure!(others == 1, "{others} rows of {} are the newest", row.name);
    }
    Ok(())
}

/// Stages and pipeline have the statuses that their jobs make up.
fn composites(before: &PipelineState, after: &PipelineState) -> Result<()> {
    for (position, row) in (0_u32..).zip(&after.stages) {
        let current = before.stages.get(position as usize).map_or(Created, |stage| stage.status);
        let computed = composite(latest(after).filter(|job| job.stage == position), false);
        let right = stage(current, computed);
        ensure!(row.status == right, "stage {} is {}, not {right}", row.name, row.status);
    }
    let right = pipeline(before.status, composite(latest(after), false));
    ensure!(after.status == right, "the pipeline is {}, not {right}", after.status);
    Ok(())
}
