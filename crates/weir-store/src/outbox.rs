//! Tasks that a transaction leaves for after it.
//!
//! A pipeline changes in one transaction, under its own lock. What that means for another pipeline, or for the world,
//! is written here in the same transaction and done later in one of its own; so no two pipelines are ever locked at
//! once, and a crash in between loses nothing. A task may be done twice: doing it again must be harmless.

use serde::Serialize;
use weir_api::Timestamp;
use weir_api::id::TaskId;

use crate::columns::{Columns, all};
use crate::{Result, Row, Tx, params};

/// A task that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its id.
    pub id: TaskId,
    /// What to do, as JSON.
    pub task: String,
    /// How often it was tried, this time included.
    pub attempts: u32,
}

fn read(row: &Row) -> Result<Due> {
    let mut c = Columns::of(row);
    Ok(Due { id: c.next()?, task: c.next()?, attempts: c.next::<u32>()? + 1 })
}

/// Leaves a task, due at `due`.
pub fn add<T: Serialize>(tx: &mut Tx<'_>, task: &T, due: Timestamp) -> Result<TaskId> {
    tx.insert(
        "INSERT INTO outbox (task, due_at, attempts) VALUES ($1, $2, 0) RETURNING id",
        params![serde_json::to_string(task)?, due],
    )
}

/// Takes tasks that are due and puts them off to `until`, so that nobody else takes them meanwhile.
pub fn take_due(tx: &mut Tx<'_>, now: Timestamp, until: Timestamp, limit: i64) -> Result<Vec<Due>> {
    let sql = format!(
        "SELECT id, task, attempts FROM outbox WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2{}",
        tx.for_update_skip_locked()
    );
    let tasks = all(&tx.query(&sql, params![now, limit])?, read)?;
    for task in &tasks {
        tx.execute(
            "UPDATE outbox SET attempts = attempts + 1, due_at = $2 WHERE id = $1",
            params![task.id, until],
        )?;
    }
    Ok(tasks)
}

/// When the next task is due.
pub fn next_due(tx: &mut Tx<'_>) -> Result<Option<Timestamp>> {
    tx.query_one("SELECT min(due_at) FROM outbox", params![])?.get(0)
}

/// Looks at a task again at `due`.
pub fn put_off(tx: &mut Tx<'_>, id: TaskId, due: Timestamp) -> Result<()> {
    tx.execute("UPDATE outbox SET due_at = $2 WHERE id = $1", params![id, due]).map(drop)
}

/// The task is done, or given up.
pub fn done(tx: &mut Tx<'_>, id: TaskId) -> Result<()> {
    tx.execute("DELETE FROM outbox WHERE id = $1", params![id]).map(drop)
}
