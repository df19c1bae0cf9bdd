//! Traces: what jobs write.
//!
//! While a job runs its trace is in chunks, one row each. Once it ended they become one object and go. Readers ask
//! [`find`]: with an [`object_key`](Trace::object_key) the bytes are there, else [`read`] has them.

use weir_api::Timestamp;
use weir_api::id::{JobId, PipelineId};

use crate::{Result, Row, Tx, bulk, object_deletions, params};

/// A trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Whose.
    pub job_id: JobId,
    /// Bytes.
    pub size: u64,
    /// The CRC-32 of all bytes, as runners send it at the end.
    pub crc32: u32,
    /// The object that holds it; `None` while it is in chunks.
    pub object_key: Option<String>,
    /// When it last grew.
    pub updated_at: Timestamp,
}

/// What became of an [`append`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// Done.
    Stored {
        /// Bytes in all.
        total: u64,
        /// The CRC-32 of all bytes.
        crc32: u32,
    },
    /// Not done: the bytes begin elsewhere than where the trace ends, or the trace is sealed.
    Mismatch {
        /// Bytes that are there.
        stored: u64,
    },
}

fn to_i64(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn to_u64(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or(0)
}

const COLUMNS: &str = "t.job_id, t.size, t.crc32, t.object_key, t.updated_at";

fn from_row(row: &Row) -> Result<Trace> {
    Ok(Trace {
        job_id: row.get(0)?,
        size: to_u64(row.get(1)?),
        crc32: row.get(2)?,
        object_key: row.get(3)?,
        updated_at: row.get(4)?,
    })
}

/// Appends bytes at `start`, if that is where the trace ends. An empty chunk only makes the trace.
pub fn append(tx: &mut Tx<'_>, job_id: JobId, start: u64, bytes: &[u8], now: Timestamp) -> Result<Appended> {
    if start == 0 {
        tx.execute(
            "INSERT INTO traces (job_id, size, crc32, updated_at) VALUES ($1, 0, 0, $2)
             ON CONFLICT (job_id) DO NOTHING",
            params![job_id, now],
        )?;
    }
    let Some(trace) = find(tx, job_id)? else { return Ok(Appended::Mismatch { stored: 0 }) };
    if trace.size != start || trace.object_key.is_some() {
        return Ok(Appended::Mismatch { stored: trace.size });
    }
    let mut hasher = crc32fast::Hasher::new_with_initial(trace.crc32);
    hasher.update(bytes);
    let (total, crc32) = (start + bytes.len() as u64, hasher.finalize());
    if bytes.is_empty() {
        return Ok(Appended::Stored { total, crc32 });
    }
    // Another append may have come in between.
    let grown = tx.execute(
        "UPDATE traces SET size = $3, crc32 = $4, updated_at = $5
         WHERE job_id = $1 AND size = $2 AND object_key IS NULL",
        params![job_id, to_i64(start), to_i64(total), crc32, now],
    )?;
    if grown == 0 {
        let stored = find(tx, job_id)?.map_or(0, |trace| trace.size);
        return Ok(Appended::Mismatch { stored });
    }
    tx.execute(
        "INSERT INTO trace_chunks (job_id, start, bytes) VALUES ($1, $2, $3)",
        params![job_id, to_i64(start), bytes],
    )?;
    Ok(Appended::Stored { total, crc32 })
}

/// A job's trace, if it wrote one.
pub fn find(tx: &mut Tx<'_>, job_id: JobId) -> Result<Option<Trace>> {
    let sql = format!("SELECT {COLUMNS} FROM traces t WHERE t.job_id = $1");
    tx.query_opt(&sql, params![job_id])?.as_ref().map(from_row).transpose()
}

/// The traces of several jobs, in no order.
pub fn find_all(tx: &mut Tx<'_>, job_ids: &[JobId]) -> Result<Vec<Trace>> {
    let sql = |ids: &str| format!("SELECT {COLUMNS} FROM traces t WHERE t.job_id IN ({ids})");
    bulk::each_of(tx, job_ids, sql)?.iter().map(from_row).collect()
}

/// Bytes from `start` on, at most `limit`, across chunks. Fewer than there are only at the trace's end; none once
/// it is sealed.
pub fn read(tx: &mut Tx<'_>, job_id: JobId, start: u64, limit: usize) -> Result<Vec<u8>> {
    let end = start.saturating_add(limit as u64);
    let rows = tx.query(
        "SELECT start, bytes FROM trace_chunks
         WHERE job_id = $1 AND start < $3
           AND start >= coalesce(
               (SELECT max(c.start) FROM trace_chunks c WHERE c.job_id = $1 AND c.start <= $2), 0)
         ORDER BY start",
        params![job_id, to_i64(start), to_i64(end)],
    )?;
    let mut bytes = Vec::new();
    for row in &rows {
        let at = to_u64(row.get(0)?);
        let chunk: &[u8] = row.get(1)?;
        let from = usize::try_from(start.saturating_sub(at)).unwrap_or(usize::MAX).min(chunk.len());
        let to = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(chunk.len());
        bytes.extend_from_slice(&chunk[from..to]);
    }
    Ok(bytes)
}

/// Traces of jobs that ended, still in chunks.
pub fn finished_unsealed(tx: &mut Tx<'_>, limit: i64) -> Result<Vec<Trace>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM traces t JOIN jobs j ON j.id = t.job_id
         WHERE t.object_key IS NULL AND t.size > 0
           AND j.status IN ('success', 'failed', 'canceled', 'skipped')
         ORDER BY t.job_id LIMIT $1"
    );
    tx.query(&sql, params![limit])?.iter().map(from_row).collect()
}

/// The chunks are in an object of `size` bytes: names it and deletes them. `false` if the trace grew or went
/// meanwhile; then the object is of no use and the caller's reservation of its key lets it go.
pub fn sealed(tx: &mut Tx<'_>, job_id: JobId, object_key: &str, size: u64) -> Result<bool> {
    let named = tx.execute(
        "UPDATE traces SET object_key = $2 WHERE job_id = $1 AND object_key IS NULL AND size = $3",
        params![job_id, object_key, to_i64(size)],
    )?;
    if named == 0 {
        return Ok(false);
    }
    tx.execute("DELETE FROM trace_chunks WHERE job_id = $1", params![job_id])?;
    object_deletions::keep(tx, object_key)?;
    Ok(true)
}

/// Deletes a job's trace; its object is left to [`object_deletions`].
pub(crate) fn erase(tx: &mut Tx<'_>, job_id: JobId, now: Timestamp) -> Result<()> {
    let rows = tx.query("DELETE FROM traces WHERE job_id = $1 RETURNING object_key", params![job_id])?;
    give_up(tx, &rows, now)
}

/// Leaves the objects of a pipeline's traces to [`object_deletions`]; the rows go with the pipeline.
pub(crate) fn give_up_pipeline(tx: &mut Tx<'_>, id: PipelineId, now: Timestamp) -> Result<()> {
    let rows = tx.query(
        "SELECT t.object_key FROM traces t JOIN jobs j ON j.id = t.job_id WHERE j.pipeline_id = $1",
        params![id],
    )?;
    give_up(tx, &rows, now)
}

fn give_up(tx: &mut Tx<'_>, rows: &[Row], now: Timestamp) -> Result<()> {
    let keys = rows.iter().map(|row| row.get(0)).collect::<Result<Vec<Option<String>>>>()?;
    object_deletions::add(tx, &keys.into_iter().flatten().collect::<Vec<_>>(), now)
}
