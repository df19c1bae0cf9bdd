//! Jobs that nobody will finish: their runner vanished, their timeout passed, their delay ended.

use weir_api::id::RunnerId;
use weir_api::{FailureReason, JobStatus, Timestamp};
use weir_engine::trust::Act;
use weir_engine::{Event, JobIndex, JobState, Outcome, timeout};
use weir_store::jobs::{self, Filter};
use weir_store::timers::{self, Due};
use weir_store::{Page, pipelines};

use super::{changes, downstream, trust};
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// Jobs of each kind handled at once.
const BATCH: i64 = 1000;

/// Fails the jobs that a runner had, which has started anew and knows nothing of them.
pub async fn fail_jobs_of(ctx: &Ctx, runner: RunnerId) -> Result<()> {
    let filter = Filter {
        runner_id: Some(runner),
        scope: vec![JobStatus::Running, JobStatus::Canceling],
        ..Filter::default()
    };
    let lost = ctx.db.read(move |tx| jobs::list(tx, &filter, Page::first(i64::MAX))).await?;
    for job in lost {
        tracing::warn!(job = job.id.0, "the runner of this job is gone");
        let due = Due { id: job.id, pipeline_id: job.pipeline_id, index: job.index };
        let outcome = Outcome::Failed { reason: FailureReason::RunnerSystemFailure, exit_code: None };
        apply(ctx, due, move |_, _| Some(Event::Finished { job: due.index, outcome })).await?;
    }
    Ok(())
}

/// Ends the jobs whose time is up and starts the delayed ones whose time has come. Returns when the next job's time
/// comes.
pub async fn sweep(ctx: &Ctx) -> Result<Option<Timestamp>> {
    loop {
        let now = ctx.now();
        let found = ctx.db.read(move |tx| timers::due(tx, now, BATCH)).await?;
        let full = found.is_full(BATCH);
        let mut changed = false;
        let unserved = found.unserved.into_iter().map(|due| (due, false));
        let others = [found.delayed, found.timed_out, found.silent, found.pending].into_iter().flatten();
        for (due, can_run) in others.map(|due| (due, true)).chain(unserved) {
            let index = due.index;
            changed |=
                apply(ctx, due, move |job, may_start| decide(job, index, now, can_run, may_start)).await?;
        }
        for due in found.bridges {
            // Whoever was to create its downstream pipeline has failed to for a day.
            downstream::fail(ctx, due.id, FailureReason::DownstreamPipelineCreationFailed).await?;
            changed = true;
        }
        if !(full && changed) {
            return Ok(ctx.db.read(move |tx| timers::next(tx, now)).await?);
        }
    }
}

/// What becomes of a job now, if its time has come. A delayed job that its user may not start any more is left to
/// become stale.
fn decide(job: &JobState, index: JobIndex, now: Timestamp, can_run: bool, may_start: bool) -> Option<Event> {
    if may_start && job.status == JobStatus::Scheduled && job.scheduled_at.is_some_and(|at| at <= now) {
        return Some(Event::Due { job: index });
    }
    timeout::overdue(job, now, || can_run).map(|outcome| Event::Finished { job: index, outcome })
}

/// Applies what `decide` says of a job as it is now, and of whether its user may start it; `false` if that is nothing.
async fn apply(
    ctx: &Ctx,
    due: Due,
    decide: impl Fn(&JobState, bool) -> Option<Event> + Send + 'static,
) -> Result<bool> {
    let (shared, now) = (ctx.clone(), ctx.now());
    let done = ctx
        .db
        .write(move |tx| {
            // What is gone, or went on in the meantime, is well.
            let job = jobs::find(tx, due.id)?.ok_or(Error::RecordNotFound)?;
            let may_start = job.status == JobStatus::Scheduled
                && trust::lets_user(tx, job.user_id, job.pipeline_id, Act::Play, now)?;
            let done = pipelines::transition(tx, &shared.pipelines, due.pipeline_id, now, |state, _| {
                let event = decide(state.job(due.index), may_start).ok_or(Error::RecordNotFound)?;
                weir_engine::apply(state, event, now).map_err(|_| Error::RecordNotFound)
            })?;
            let mut done = done.ok_or(Error::RecordNotFound)?;
            changes::follow(tx, &shared, due.pipeline_id, &mut done)?;
            Ok::<_, Error>((job.project_id, done))
        })
        .await;
    match done {
        Ok((project, done)) => changes::announce(ctx, project, due.pipeline_id, &done),
        Err(Error::RecordNotFound) => return Ok(false),
        Err(error) => return Err(error),
    }
    Ok(true)
}
