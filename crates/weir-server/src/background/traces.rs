//! Traces of jobs that ended move from the database into objects; their coverage is read on the way.

use futures_util::stream;
use weir_compiler::regexp::Regexp;
use weir_engine::coverage::Coverage;
use weir_store::traces::Trace;
use weir_store::{jobs, object_deletions, secrets, traces};

use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// Traces moved between two looks at the clock.
const BATCH: i64 = 50;
/// Bytes moved at once.
const PIECE: usize = 512 << 10;
/// An object that no row names after so many seconds goes.
const LEASE: i64 = 3600;

/// Moves every trace that can be moved.
pub(super) async fn sweep(ctx: &Ctx) -> Result<()> {
    loop {
        let found = ctx.db.read(|tx| traces::finished_unsealed(tx, BATCH)).await?;
        let more = i64::try_from(found.len()).is_ok_and(|count| count == BATCH);
        for trace in found {
            seal(ctx, &trace).await?;
        }
        if !more {
            return Ok(());
        }
    }
}

async fn seal(ctx: &Ctx, trace: &Trace) -> Result<()> {
    let id = trace.job_id;
    let found = ctx.db.read(move |tx| {
        let Some(job) = jobs::find(tx, id)? else { return Ok(None) };
        let definition = jobs::definition(tx, &job)?;
        Ok::<_, weir_store::Error>(Some((job, definition)))
    });
    let Some((job, definition)) = found.await? else { return Ok(()) };
    let key = format!("traces/{}/{}/{}", job.project_id, id, secrets::random_text()?);
    let (reserved, now) = (key.clone(), ctx.now());
    ctx.db.write(move |tx| object_deletions::reserve(tx, &reserved, now.plus_secs(LEASE))).await?;

    let mut coverage =
        definition.coverage.as_deref().and_then(|pattern| Regexp::new(pattern).ok()).map(Coverage::new);
    let (shared, size) = (ctx.clone(), trace.size);
    let pieces = stream::try_unfold((0_u64, &mut coverage), move |(at, coverage)| {
        let ctx = shared.clone();
        async move {
            if at >= size {
                return Ok::<_, Error>(None);
            }
            let piece = ctx.db.read(move |tx| traces::read(tx, id, at, PIECE)).await?;
            if piece.is_empty() {
                return Err(Error::internal("a trace is shorter than its row says"));
            }
            if let Some(coverage) = coverage.as_mut() {
                coverage.push(&piece);
            }
            let next = at + piece.len() as u64;
            Ok(Some((bytes::Bytes::from(piece), (next, coverage))))
        }
    });
    let stored = ctx.objects.put_stream(&key, pieces, u64::MAX).await?;
    let percent = coverage.and_then(Coverage::finish);
    ctx.db
        .write(move |tx| {
            if traces::sealed(tx, id, &key, stored.size)? {
                object_deletions::keep(tx, &key)?;
                if percent.is_some() {
                    jobs::set_coverage(tx, id, percent)?;
                }
            }
            Ok::<_, weir_store::Error>(())
        })
        .await?;
    Ok(())
}
