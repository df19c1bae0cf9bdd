//! What is to be said of jobs beside their failure reason: why a bridge has no downstream pipeline.

use std::collections::HashMap;

use weir_api::id::JobId;

use crate::{Result, Tx, bulk, params};

/// Adds messages.
pub fn add(tx: &mut Tx<'_>, id: JobId, messages: &[String]) -> Result<()> {
    for message in messages {
        tx.execute("INSERT INTO job_messages (job_id, content) VALUES ($1, $2)", params![id, message])?;
    }
    Ok(())
}

/// The messages of jobs, by job, in the order added.
pub fn of_jobs(tx: &mut Tx<'_>, ids: &[JobId]) -> Result<HashMap<JobId, Vec<String>>> {
    let sql =
        |ids: &str| format!("SELECT job_id, content FROM job_messages WHERE job_id IN ({ids}) ORDER BY id");
    let mut messages: HashMap<JobId, Vec<String>> = HashMap::new();
    for row in bulk::each_of(tx, ids, sql)? {
        messages.entry(row.get(0)?).or_default().push(row.get(1)?);
    }
    Ok(messages)
}
