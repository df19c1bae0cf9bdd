//! Jobs that nobody will finish: their runner vanished, their timeout passed, their delay ended.

use weir_api::id::RunnerId;
use weir_api::{FailureReason, JobStatus, Timestamp};
use weir_engine::{Event, Outcome};
use weir_store::jobs::{self, Due, Filter};
use weir_store::{Page, Tx};

use super::changes;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// Jobs handled at once.
const BATCH: i64 = 100;

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
        end(ctx, due, FailureReason::RunnerSystemFailure).await?;
    }
    Ok(())
}

/// Ends jobs whose timeout and grace have passed, and jobs whose runner is silent; starts delayed jobs whose time
/// has come. Returns when the next delayed job is due.
pub async fn sweep(ctx: &Ctx) -> Result<Option<Timestamp>> {
    let now = ctx.now();
    let silence = i64::try_from(ctx.config.silent_job_after.as_secs()).unwrap_or(i64::MAX);
    let late = now.plus_secs(-weir_engine::timeout::GRACE_SECS);
    let ended = look(ctx, move |tx| jobs::past_deadline(tx, late, BATCH)).await?;
    for due in ended {
        end(ctx, due, FailureReason::ServerTimeoutRunning).await?;
    }
    let silent = look(ctx, move |tx| jobs::silent_since(tx, now.plus_secs(-silence), BATCH)).await?;
    for due in silent {
        end(ctx, due, FailureReason::NoUpdatesRunning).await?;
    }
    let scheduled = look(ctx, move |tx| jobs::scheduled_due(tx, now, BATCH)).await?;
    for due in scheduled {
        apply(ctx, due, Event::Due { job: due.index }).await?;
    }
    Ok(ctx.db.read(jobs::next_scheduled).await?)
}

async fn look(
    ctx: &Ctx,
    query: impl FnOnce(&mut Tx<'_>) -> weir_store::Result<Vec<Due>> + Send + 'static,
) -> Result<Vec<Due>> {
    Ok(ctx.db.read(query).await?)
}

async fn end(ctx: &Ctx, due: Due, reason: FailureReason) -> Result<()> {
    let outcome = Outcome::Failed { reason, exit_code: None };
    apply(ctx, due, Event::Finished { job: due.index, outcome }).await
}

async fn apply(ctx: &Ctx, due: Due, event: Event) -> Result<()> {
    let shared = ctx.clone();
    let done = ctx
        .db
        .write(move |tx| {
            let project = jobs::find(tx, due.id)?.ok_or(Error::RecordNotFound)?.project_id;
            // Refused means that the job went on in the meantime, and all is well.
            let done = changes::transition(tx, &shared, due.pipeline_id, event, |_| Error::RecordNotFound)?;
            Ok::<_, Error>((project, done))
        })
        .await;
    match done {
        Ok((project, done)) => changes::announce(ctx, project, due.pipeline_id, &done),
        Err(Error::RecordNotFound) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
