//! Traces: the runner writes them piece by piece, people read them while they grow.

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use weir_api::id::JobId;
use weir_api::{FailureReason, JobStatus, Secret};
use weir_engine::trace::NotAppended;
use weir_engine::{Event, Outcome};
use weir_store::secrets::TokenDigest;
use weir_store::{Tx, jobs, traces};

use super::access::Access;
use super::{changes, job_updates};
use crate::auth::Action;
use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// Bytes of a trace that are read at once.
const PIECE: usize = 256 << 10;

/// What became of a piece of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is durable.
    Accepted {
        /// The job's status.
        status: JobStatus,
        /// Bytes in all.
        total: u64,
    },
    /// It begins elsewhere than where the trace ends.
    Mismatch {
        /// The job's status.
        status: JobStatus,
        /// Bytes that are there.
        stored: u64,
    },
    /// The job ended without its runner.
    NotProcessing {
        /// How.
        status: JobStatus,
    },
}

/// Appends a piece at `start`.
///
/// # Errors
/// 403 for a wrong token, and when the trace is over its limit: then the job fails with
/// `trace_size_exceeded`.
pub async fn append(
    ctx: &Ctx,
    id: JobId,
    token: &Secret,
    start: u64,
    bytes: Bytes,
    debug: bool,
) -> Result<Appended> {
    let (digest, shared, now) = (TokenDigest::of(token.expose()), ctx.clone(), ctx.now());
    let (length, limit) = (bytes.len() as u64, ctx.config.max_trace_size);
    let (appended, failed) = ctx
        .db
        .write(move |tx| -> Result<_> {
            let job = job_updates::authenticate(tx, id, &digest)?;
            let status = job.status;
            if !matches!(status, JobStatus::Running | JobStatus::Canceling) {
                return Ok((Appended::NotProcessing { status }, None));
            }
            if debug && !job.debug_trace {
                jobs::set_debug_trace(tx, id)?;
            }
            let stored = traces::find(tx, id)?.map_or(0, |trace| trace.size);
            match weir_engine::trace::append(stored, start, length, limit) {
                Ok(_) => {}
                Err(NotAppended::TooLarge { .. }) => {
                    let outcome =
                        Outcome::Failed { reason: FailureReason::TraceSizeExceeded, exit_code: None };
                    let event = Event::Finished { job: job.index, outcome };
                    let done =
                        changes::transition(tx, &shared, job.pipeline_id, event, |_| Error::Forbidden(None))?;
                    let failed = Some((job.project_id, job.pipeline_id, done));
                    return Ok((Appended::NotProcessing { status: JobStatus::Failed }, failed));
                }
                Err(NotAppended::Elsewhere { stored }) => {
                    return Ok((Appended::Mismatch { status, stored }, None));
                }
            }
            let appended = match traces::append(tx, id, start, &bytes, now)? {
                traces::Appended::Stored { total, .. } => Appended::Accepted { status, total },
                traces::Appended::Mismatch { stored } => Appended::Mismatch { status, stored },
            };
            Ok((appended, None))
        })
        .await?;
    if let Some((project, pipeline, done)) = &failed {
        changes::announce(ctx, *project, *pipeline, done);
    }
    if let Appended::Accepted { .. } = appended {
        ctx.metrics.trace_bytes.inc_by(length);
        ctx.bus.wake(Wake::Job(id));
    }
    Ok(appended)
}

/// A trace as a stream.
pub struct Reader {
    /// Bytes in all.
    pub size: u64,
    /// The bytes.
    pub body: BoxStream<'static, std::io::Result<Bytes>>,
}

/// A job's trace as it is now; empty if the job wrote nothing.
pub async fn read(ctx: &Ctx, access: &Access, id: JobId) -> Result<Reader> {
    read_from(ctx, access, id, 0).await
}

/// The same without its first `start` bytes.
pub async fn read_from(ctx: &Ctx, access: &Access, id: JobId, start: u64) -> Result<Reader> {
    let project = access.project.id;
    let (job, trace) = ctx
        .db
        .read(move |tx: &mut Tx<'_>| -> Result<_> {
            let job = super::jobs::row(tx, project, id)?;
            Ok((job, traces::find(tx, id)?))
        })
        .await?;
    if job.debug_trace {
        access.standing.demand(Action::ReadDebugTrace)?;
    }
    let Some(trace) = trace else { return Ok(Reader { size: 0, body: stream::empty().boxed() }) };
    let body = match trace.object_key {
        _ if start >= trace.size => stream::empty().boxed(),
        Some(key) => {
            let range = (start > 0).then_some(start..trace.size);
            let object = ctx.objects.get_stream(&key, range).await?;
            object.body.map(|piece| piece.map_err(std::io::Error::other)).boxed()
        }
        None => chunks(ctx.clone(), id, start, trace.size).boxed(),
    };
    Ok(Reader { size: trace.size, body })
}

/// The bytes from `start` to `size`, out of the database or, once the trace was sealed meanwhile, out of its object.
fn chunks(
    ctx: Ctx,
    id: JobId,
    start: u64,
    size: u64,
) -> impl futures_util::Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    stream::try_unfold(start, move |at| {
        let ctx = ctx.clone();
        async move {
            if at >= size {
                return Ok(None);
            }
            let want = usize::try_from(size - at).unwrap_or(PIECE).min(PIECE);
            let (piece, trace) = ctx
                .db
                .read(move |tx| {
                    Ok::<_, weir_store::Error>((traces::read(tx, id, at, want)?, traces::find(tx, id)?))
                })
                .await
                .map_err(std::io::Error::other)?;
            if !piece.is_empty() {
                let next = at + piece.len() as u64;
                return Ok(Some((Bytes::from(piece), next)));
            }
            let Some(key) = trace.and_then(|trace| trace.object_key) else { return Ok(None) };
            let object = ctx.objects.get_stream(&key, Some(at..size)).await.map_err(std::io::Error::other)?;
            let mut rest = Vec::new();
            let mut body = object.body;
            if let Some(piece) = body.next().await {
                rest.extend_from_slice(&piece.map_err(std::io::Error::other)?);
            }
            let next = at + rest.len() as u64;
            Ok((!rest.is_empty()).then(|| (Bytes::from(rest), next)))
        }
    })
}
