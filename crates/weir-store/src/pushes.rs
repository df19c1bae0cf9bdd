//! Pushes whose pipelines may be missing.
//!
//! A push is recorded before Git updates the ref, and removed once its pipeline is created or none is due. So a
//! crash in between loses nothing: whoever finds a push compares the ref with `after_sha` and goes on.

use weir_api::Timestamp;
use weir_api::id::{ProjectId, PushId, UserId};

use crate::columns::{Columns, all};
use crate::{Result, Row, Tx, params};

/// One ref's update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Its id.
    pub id: PushId,
    /// Where.
    pub project_id: ProjectId,
    /// Who.
    pub user_id: UserId,
    /// The full name, `refs/heads/main`.
    pub ref_name: String,
    /// Before; zeros if the ref is new.
    pub before_sha: String,
    /// After; zeros if the ref is deleted.
    pub after_sha: String,
    /// `git push -o`.
    pub options: Vec<String>,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// How often its pipeline was tried.
    pub attempts: u32,
    /// When it is to be looked at (again).
    pub due_at: Timestamp,
}

/// A push to be.
#[derive(Debug, Clone)]
pub struct NewPush {
    /// Where.
    pub project_id: ProjectId,
    /// Who.
    pub user_id: UserId,
    /// The full name, `refs/heads/main`.
    pub ref_name: String,
    /// Before; zeros if the ref is new.
    pub before_sha: String,
    /// After; zeros if the ref is deleted.
    pub after_sha: String,
    /// `git push -o`.
    pub options: Vec<String>,
}

const COLUMNS: &str =
    "id, project_id, user_id, ref, before_sha, after_sha, options, created_at, attempts, due_at";

fn read(row: &Row) -> Result<Push> {
    let mut c = Columns::of(row);
    Ok(Push {
        id: c.next()?,
        project_id: c.next()?,
        user_id: c.next()?,
        ref_name: c.next()?,
        before_sha: c.next()?,
        after_sha: c.next()?,
        options: c.json()?,
        created_at: c.next()?,
        attempts: c.next()?,
        due_at: c.next()?,
    })
}

/// Records a push, to be looked at from `due` on by whoever looks for lost ones.
pub fn insert(tx: &mut Tx<'_>, new: &NewPush, now: Timestamp, due: Timestamp) -> Result<PushId> {
    tx.insert(
        "INSERT INTO pushes
             (project_id, user_id, ref, before_sha, after_sha, options, created_at, attempts, due_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8) RETURNING id",
        params![
            new.project_id,
            new.user_id,
            new.ref_name,
            new.before_sha,
            new.after_sha,
            serde_json::to_string(&new.options)?,
            now,
            due
        ],
    )
}

/// The push with an id, until it is [`done`].
pub fn find(tx: &mut Tx<'_>, id: PushId) -> Result<Option<Push>> {
    let sql = format!("SELECT {COLUMNS} FROM pushes WHERE id = $1");
    tx.query_opt(&sql, params![id])?.as_ref().map(read).transpose()
}

/// Takes the pushes that are due and puts them off to `until`, so that nobody else takes them meanwhile.
pub fn take_due(tx: &mut Tx<'_>, now: Timestamp, until: Timestamp, limit: i64) -> Result<Vec<Push>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM pushes WHERE due_at <= $1 ORDER BY due_at LIMIT $2{}",
        tx.for_update_skip_locked()
    );
    let pushes = all(&tx.query(&sql, params![now, limit])?, read)?;
    for push in &pushes {
        tx.execute(
            "UPDATE pushes SET attempts = attempts + 1, due_at = $2 WHERE id = $1",
            params![push.id, until],
        )?;
    }
    Ok(pushes)
}

/// When the next push is due.
pub fn next_due(tx: &mut Tx<'_>) -> Result<Option<Timestamp>> {
    tx.query_one("SELECT min(due_at) FROM pushes", params![])?.get(0)
}

/// Looks at a push again at `due`.
pub fn put_off(tx: &mut Tx<'_>, id: PushId, due: Timestamp) -> Result<()> {
    tx.execute("UPDATE pushes SET due_at = $2 WHERE id = $1", params![id, due])?;
    Ok(())
}

/// Its pipeline is created, or none is due. `false` if someone else was done first: then a pipeline created in
/// this transaction is one too many, and the transaction must not commit.
pub fn done(tx: &mut Tx<'_>, id: PushId) -> Result<bool> {
    Ok(tx.execute("DELETE FROM pushes WHERE id = $1", params![id])? == 1)
}
