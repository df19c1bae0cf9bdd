//! Downstream pipelines: created by bridges, and followed by them.

use weir_api::FailureReason;
use weir_api::id::JobId;
use weir_engine::{Event, Outcome};
use weir_store::jobs;

use super::changes;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// Creates the downstream pipeline of a pending bridge.
pub async fn create(ctx: &Ctx, bridge: JobId) -> Result<()> {
    fail(ctx, bridge, FailureReason::DownstreamPipelineCreationFailed).await
}

/// Fails a bridge that gets no downstream pipeline.
pub async fn fail(ctx: &Ctx, bridge: JobId, reason: FailureReason) -> Result<()> {
    let shared = ctx.clone();
    let done = ctx
        .db
        .write(move |tx| {
            let job = jobs::find(tx, bridge)?.ok_or(Error::RecordNotFound)?;
            let outcome = Outcome::Failed { reason, exit_code: None };
            let event = Event::Finished { job: job.index, outcome };
            let done = changes::transition(tx, &shared, job.pipeline_id, event, |_| Error::RecordNotFound)?;
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
