//! Traces of jobs that ended move from the database into objects; their coverage is read on the way.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use weir_compiler::regexp::Regexp;
use weir_engine::coverage::Coverage;
use weir_store::traces::Trace;
use weir_store::{jobs, object_deletions, secrets, traces};

use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// How long to wait for more jobs to end before looking.
pub(super) const GATHER: Duration = Duration::from_millis(500);
/// Traces moved together: they share two commits.
const BATCH: i64 = 100;
/// Traces written at the same time.
const WRITING: usize = 4;
/// Bytes moved at once.
const PIECE: usize = 512 << 10;
/// An object that no row names after so many seconds goes.
const LEASE: i64 = 3600;

/// A trace that is about to be an object.
struct Archive {
    trace: Trace,
    key: String,
    coverage: Option<Coverage>,
}

/// One that is.
struct Archived {
    trace: Trace,
    key: String,
    size: u64,
    percent: Option<f64>,
}

/// Moves every trace that can be moved.
pub(super) async fn sweep(ctx: &Ctx) -> Result<()> {
    loop {
        let found = ctx.db.read(|tx| traces::finished_unsealed(tx, BATCH)).await?;
        let more = i64::try_from(found.len()).is_ok_and(|count| count == BATCH);
        if !found.is_empty() {
            archive(ctx, found).await?;
        }
        if !more {
            return Ok(());
        }
    }
}

async fn archive(ctx: &Ctx, found: Vec<Trace>) -> Result<()> {
    let archives = reserve(ctx, found).await?;
    let mut stored = Vec::with_capacity(archives.len());
    let mut writing = stream::iter(archives).map(|archive| write(ctx, archive)).buffer_unordered(WRITING);
    while let Some(archived) = writing.next().await {
        stored.push(archived?);
    }
    drop(writing);
    ctx.db
        .write(move |tx| {
            for Archived { trace, key, size, percent } in &stored {
                if traces::sealed(tx, trace.job_id, key, *size)? {
                    object_deletions::keep(tx, key)?;
                    if percent.is_some() {
                        jobs::set_coverage(tx, trace.job_id, *percent)?;
                    }
                }
            }
            Ok::<_, weir_store::Error>(())
        })
        .await?;
    Ok(())
}

/// Names an object for each trace, and lets these go by themselves should we die before their rows name them.
async fn reserve(ctx: &Ctx, found: Vec<Trace>) -> Result<Vec<Archive>> {
    let archives = ctx
        .db
        .read(move |tx| {
            let mut archives = Vec::with_capacity(found.len());
            for trace in found {
                let Some(job) = jobs::find(tx, trace.job_id)? else { continue };
                let pattern = jobs::definition(tx, &job)?.coverage;
                let coverage = pattern.and_then(|pattern| Regexp::new(&pattern).ok()).map(Coverage::new);
                // A folder for each job would cost two more flushes.
                let key = format!("traces/{}/{}-{}", job.project_id, job.id, secrets::random_text()?);
                archives.push(Archive { trace, key, coverage });
            }
            Ok::<_, Error>(archives)
        })
        .await?;
    let keys: Vec<String> = archives.iter().map(|archive| archive.key.clone()).collect();
    let due = ctx.now().plus_secs(LEASE);
    ctx.db.write(move |tx| keys.iter().try_for_each(|key| object_deletions::reserve(tx, key, due))).await?;
    Ok(archives)
}

/// Copies one trace into its object.
async fn write(ctx: &Ctx, mut archive: Archive) -> Result<Archived> {
    let (shared, id, size) = (ctx.clone(), archive.trace.job_id, archive.trace.size);
    let pieces = stream::try_unfold((0_u64, &mut archive.coverage), move |(at, coverage)| {
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
    let stored = ctx.objects.put_stream(&archive.key, pieces, u64::MAX).await?;
    let percent = archive.coverage.and_then(Coverage::finish);
    Ok(Archived { trace: archive.trace, key: archive.key, size: stored.size, percent })
}
