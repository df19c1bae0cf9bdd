//! What a runner says of the job that it has.

use weir_api::id::JobId;
use weir_api::runner::{JobState, JobUpdate};
use weir_api::{FailureReason, JobStatus, Secret};
use weir_engine::{Event, Outcome};
use weir_store::jobs::{self, Job};
use weir_store::secrets::TokenDigest;
use weir_store::{Tx, pipelines};

use super::changes;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// What becomes of a runner's call for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Updated {
    /// It is taken.
    Accepted {
        /// The job's status now.
        status: JobStatus,
    },
    /// The job ended without its runner.
    NotProcessing {
        /// How.
        status: JobStatus,
    },
}

/// Finds the job of a runner's call. An unknown job and a wrong token are the same 403, never a 404.
/// Source: `lib/api/ci/helpers/runner.rb`.
pub fn authenticate(tx: &mut Tx<'_>, id: JobId, token: &TokenDigest) -> Result<Job> {
    let job = jobs::find_by_token(tx, token)?.filter(|job| job.id == id).ok_or(Error::Forbidden(None))?;
    if job.erased_at.is_some() {
        return Err(Error::forbidden("Job has been erased!"));
    }
    Ok(job)
}

/// Applies a runner's update; answered when it is durable.
pub async fn update(ctx: &Ctx, id: JobId, token: &Secret, update: JobUpdate) -> Result<Updated> {
    let Some(state) = update.state.known() else {
        return Err(Error::BadRequest("unknown state".to_owned()));
    };
    let event = match state {
        // Two-phase pick-up is not offered, so a runner that still waits is one that runs.
        JobState::Running | JobState::Pending => None,
        JobState::Success => Some(Outcome::Success),
        JobState::Failed => Some(Outcome::Failed {
            reason: update
                .failure_reason
                .and_then(|reason| reason.known())
                .unwrap_or(FailureReason::UnknownFailure),
            exit_code: update.exit_code.and_then(|code| i32::try_from(code).ok()),
        }),
    };
    let (digest, shared, now) = (TokenDigest::of(token.expose()), ctx.clone(), ctx.now());
    let (updated, done) = ctx
        .db
        .write(move |tx| -> Result<_> {
            let job = authenticate(tx, id, &digest)?;
            let mut refused = None;
            let mut done = pipelines::transition(tx, &shared.pipelines, job.pipeline_id, now, |state, _| {
                let event = match event {
                    None => Event::Alive { job: job.index },
                    Some(outcome) => Event::Finished { job: job.index, outcome },
                };
                // A job that ended must not end again: neither may a runner that was late.
                if !matches!(state.job(job.index).status, JobStatus::Running | JobStatus::Canceling) {
                    refused = Some(state.job(job.index).status);
                    return Ok::<_, Error>(weir_engine::Changes::default());
                }
                let changes = weir_engine::apply(state, event, now)
                    .map_err(|refused| Error::forbidden(refused.to_string()))?;
                Ok(changes)
            })?;
            if let Some(status) = refused {
                return Ok((Updated::NotProcessing { status }, None));
            }
            if let Some(done) = &mut done {
                changes::follow(tx, &shared, job.pipeline_id, done)?;
            }
            let job = jobs::find(tx, id)?.ok_or(Error::Forbidden(None))?;
            Ok((Updated::Accepted { status: job.status }, done.map(|done| (job, done))))
        })
        .await?;
    if let Some((job, done)) = done {
        changes::announce(ctx, job.project_id, job.pipeline_id, &done);
    }
    Ok(updated)
}
