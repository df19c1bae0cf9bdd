//! Trigger tokens, which start pipelines.

use weir_api::Timestamp;
use weir_api::id::{PipelineId, ProjectId, TriggerId, UserId};

use crate::columns::{Columns, all};
use crate::{Error, Page, Result, Row, TokenDigest, Tx, params};

/// A trigger token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// Its id.
    pub id: TriggerId,
    /// Where it starts pipelines.
    pub project_id: ProjectId,
    /// For whom its pipelines run.
    pub owner_id: UserId,
    /// A text for people.
    pub description: Option<String>,
    /// The token, sealed.
    pub token: Vec<u8>,
    /// The first characters of the token behind its prefix, for everyone who sees the trigger.
    pub short_token: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When its newest pipeline was made.
    pub last_used_at: Option<Timestamp>,
}

/// A trigger token to be.
#[derive(Debug, Clone)]
pub struct NewTrigger {
    /// Where it starts pipelines.
    pub project_id: ProjectId,
    /// For whom its pipelines run.
    pub owner_id: UserId,
    /// A text for people.
    pub description: Option<String>,
    /// The SHA-256 of the token.
    pub digest: TokenDigest,
    /// The token, sealed.
    pub token: Vec<u8>,
    /// The first characters of the token behind its prefix.
    pub short_token: String,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

const COLUMNS: &str = "t.id, t.project_id, t.owner_id, t.description, t.token, t.short_token, t.created_at, \
     t.updated_at, t.expires_at, \
     (SELECT p.created_at FROM pipelines p WHERE p.trigger_id = t.id ORDER BY p.id DESC LIMIT 1)";

fn read(row: &Row) -> Result<Trigger> {
    let mut c = Columns::of(row);
    Ok(Trigger {
        id: c.next()?,
        project_id: c.next()?,
        owner_id: c.next()?,
        description: c.next()?,
        token: c.next()?,
        short_token: c.next()?,
        created_at: c.next()?,
        updated_at: c.next()?,
        expires_at: c.next()?,
        last_used_at: c.next()?,
    })
}

/// Adds a trigger.
pub fn insert(tx: &mut Tx<'_>, new: &NewTrigger, now: Timestamp) -> Result<Trigger> {
    let id: TriggerId = tx.insert(
        "INSERT INTO triggers
             (project_id, owner_id, description, digest, token, short_token, created_at, updated_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8) RETURNING id",
        params![
            new.project_id,
            new.owner_id,
            new.description,
            new.digest,
            new.token,
            new.short_token,
            now,
            new.expires_at
        ],
    )?;
    let sql = format!("SELECT {COLUMNS} FROM triggers t WHERE t.id = $1");
    tx.query_opt(&sql, params![id])?.as_ref().map(read).transpose()?.ok_or(Error::NoRow)
}

/// A project's trigger with an id.
pub fn find(tx: &mut Tx<'_>, project_id: ProjectId, id: TriggerId) -> Result<Option<Trigger>> {
    let sql = format!("SELECT {COLUMNS} FROM triggers t WHERE t.id = $1 AND t.project_id = $2");
    tx.query_opt(&sql, params![id, project_id])?.as_ref().map(read).transpose()
}

/// The trigger with a token, whether it has ended or not.
pub fn find_by_digest(tx: &mut Tx<'_>, digest: &TokenDigest) -> Result<Option<Trigger>> {
    let sql = format!("SELECT {COLUMNS} FROM triggers t WHERE t.digest = $1");
    tx.query_opt(&sql, params![digest])?.as_ref().map(read).transpose()
}

/// A project's triggers, the oldest first.
pub fn list(tx: &mut Tx<'_>, project_id: ProjectId, page: Page) -> Result<Vec<Trigger>> {
    let sql =
        format!("SELECT {COLUMNS} FROM triggers t WHERE t.project_id = $1 ORDER BY t.id LIMIT $2 OFFSET $3");
    all(&tx.query(&sql, params![project_id, page.limit, page.offset])?, read)
}

/// How many triggers a project has.
pub fn count(tx: &mut Tx<'_>, project_id: ProjectId) -> Result<i64> {
    tx.query_one("SELECT count(*) FROM triggers WHERE project_id = $1", params![project_id])?.get(0)
}

/// Gives a trigger another description.
pub fn describe(tx: &mut Tx<'_>, id: TriggerId, description: Option<&str>, now: Timestamp) -> Result<()> {
    let sql = "UPDATE triggers SET description = $2, updated_at = $3 WHERE id = $1";
    tx.execute(sql, params![id, description, now])?;
    Ok(())
}

/// Removes a trigger; its pipelines stay. `false` if it is gone.
pub fn delete(tx: &mut Tx<'_>, id: TriggerId) -> Result<bool> {
    Ok(tx.execute("DELETE FROM triggers WHERE id = $1", params![id])? == 1)
}

/// Notes which trigger started a pipeline.
pub fn started(tx: &mut Tx<'_>, id: TriggerId, pipeline: PipelineId) -> Result<()> {
    tx.execute("UPDATE pipelines SET trigger_id = $2 WHERE id = $1", params![pipeline, id])?;
    Ok(())
}

/// The first characters of the token that started a pipeline, while its trigger exists.
pub fn short_token_of(tx: &mut Tx<'_>, pipeline: PipelineId) -> Result<Option<String>> {
    let sql = "SELECT t.short_token FROM pipelines p JOIN triggers t ON t.id = p.trigger_id WHERE p.id = $1";
    tx.query_opt(sql, params![pipeline])?.map(|row| row.get(0)).transpose()
}
