//! What is to be said of jobs beside their failure reason: why a bridge has no downstream pipeline.

use weir_api::id::JobId;

use crate::columns::all;
use crate::{Result, Tx, params};

/// Adds messages.
pub fn add(tx: &mut Tx<'_>, id: JobId, messages: &[String]) -> Result<()> {
    for message in messages {
        tx.execute("INSERT INTO job_messages (job_id, content) VALUES ($1, $2)", params![id, message])?;
    }
    Ok(())
}

/// A job's messages, in the order added.
pub fn of_job(tx: &mut Tx<'_>, id: JobId) -> Result<Vec<String>> {
    let sql = "SELECT content FROM job_messages WHERE job_id = $1 ORDER BY id";
    all(&tx.query(sql, params![id])?, |row| row.get(0))
}
