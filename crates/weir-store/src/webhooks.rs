//! Webhooks of projects: whom to tell, what is still to be delivered, and what became of what was.
//!
//! A delivery is left in the transaction of the change that it tells of and sent after it, at least once. Deliveries
//! of one hook are sent one after the other by whoever has claimed the hook.

use weir_api::Timestamp;
use weir_api::hooks::HookEvent;
use weir_api::id::{HookId, ProjectId, PushId};

use crate::columns::{Columns, all};
use crate::{Page, Result, Row, Tx, params};

/// A hook.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// Its id.
    pub id: HookId,
    /// Its project.
    pub project_id: ProjectId,
    /// URL and token, sealed.
    pub secrets: Vec<u8>,
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What it is told.
    pub events: Vec<HookEvent>,
    /// The branches whose pushes it is told; none is all.
    pub branch_filter: Option<String>,
    /// How the filter is read: `wildcard`, `regex` or `all_branches`.
    pub branch_filter_strategy: String,
    /// Whether the receiver's certificate is verified.
    pub ssl_verification: bool,
    /// Failures since the last success.
    pub failures: u32,
    /// Until when nothing is sent because of them.
    pub disabled_until: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

const COLUMNS: &str = "w.id, w.project_id, w.secrets, w.name, w.description, w.events, w.branch_filter, \
     w.branch_filter_strategy, w.ssl_verification, w.failures, w.disabled_until, w.created_at";

fn read(row: &Row) -> Result<Hook> {
    let mut c = Columns::of(row);
    Ok(Hook {
        id: c.next()?,
        project_id: c.next()?,
        secrets: c.next()?,
        name: c.next()?,
        description: c.next()?,
        events: c.json()?,
        branch_filter: c.next()?,
        branch_filter_strategy: c.next()?,
        ssl_verification: c.next()?,
        failures: c.next()?,
        disabled_until: c.next()?,
        created_at: c.next()?,
    })
}

/// Adds a hook; its id is not used.
pub fn insert(tx: &mut Tx<'_>, new: &Hook) -> Result<HookId> {
    tx.insert(
        "INSERT INTO webhooks (project_id, secrets, name, description, events, branch_filter,
             branch_filter_strategy, ssl_verification, failures, disabled_until, busy_until, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, NULL, 0, $9) RETURNING id",
        params![
            new.project_id,
            new.secrets,
            new.name,
            new.description,
            serde_json::to_string(&new.events)?,
            new.branch_filter,
            new.branch_filter_strategy,
            new.ssl_verification,
            new.created_at
        ],
    )
}

/// Writes what its owner may change.
pub fn update(tx: &mut Tx<'_>, hook: &Hook) -> Result<()> {
    tx.execute(
        "UPDATE webhooks SET secrets = $2, name = $3, description = $4, events = $5, branch_filter = $6,
             branch_filter_strategy = $7, ssl_verification = $8
         WHERE id = $1",
        params![
            hook.id,
            hook.secrets,
            hook.name,
            hook.description,
            serde_json::to_string(&hook.events)?,
            hook.branch_filter,
            hook.branch_filter_strategy,
            hook.ssl_verification
        ],
    )
    .map(drop)
}

/// Removes a hook with all that belongs to it.
pub fn delete(tx: &mut Tx<'_>, id: HookId) -> Result<()> {
    tx.execute("DELETE FROM webhooks WHERE id = $1", params![id]).map(drop)
}

/// The hook with an id.
pub fn find(tx: &mut Tx<'_>, id: HookId) -> Result<Option<Hook>> {
    let sql = format!("SELECT {COLUMNS} FROM webhooks w WHERE w.id = $1");
    tx.query_opt(&sql, params![id])?.as_ref().map(read).transpose()
}

/// All hooks of a project.
pub fn of_project(tx: &mut Tx<'_>, project_id: ProjectId) -> Result<Vec<Hook>> {
    let sql = format!("SELECT {COLUMNS} FROM webhooks w WHERE w.project_id = $1 ORDER BY w.id");
    all(&tx.query(&sql, params![project_id])?, read)
}

/// Notes that the hooks of a push are told of it; `false` if they are already.
pub fn mark_push(tx: &mut Tx<'_>, push: PushId) -> Result<bool> {
    let sql = "UPDATE pushes SET webhooks = TRUE WHERE id = $1 AND NOT webhooks";
    Ok(tx.execute(sql, params![push])? == 1)
}

// Deliveries -----------------------------------------------------------------------------------------------------

/// Something that a hook is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id.
    pub id: i64,
    /// GitLab's name of the kind, `push_hooks`.
    pub kind: String,
    /// The same for each attempt.
    pub idempotency_key: String,
    /// The body, as far as it is known without the repository.
    pub payload: String,
    /// How often it was tried.
    pub attempts: u32,
}

/// Leaves a delivery, due now.
pub fn deliver(
    tx: &mut Tx<'_>,
    hook: HookId,
    kind: &str,
    idempotency_key: &str,
    payload: &str,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO webhook_deliveries (hook_id, kind, idempotency_key, payload, attempts, due_at)
         VALUES ($1, $2, $3, $4, 0, $5)",
        params![hook, kind, idempotency_key, payload, now],
    )
    .map(drop)
}

/// Hooks with deliveries that are due and that nobody has claimed.
pub fn due(tx: &mut Tx<'_>, now: Timestamp, limit: i64) -> Result<Vec<HookId>> {
    let sql = "SELECT DISTINCT d.hook_id FROM webhook_deliveries d JOIN webhooks w ON w.id = d.hook_id
               WHERE d.due_at <= $1 AND w.busy_until <= $1 ORDER BY d.hook_id LIMIT $2";
    all(&tx.query(sql, params![now, limit])?, |row| row.get(0))
}

/// When the next delivery is due that nobody has claimed, as far as that is known.
pub fn next_due(tx: &mut Tx<'_>, now: Timestamp) -> Result<Option<Timestamp>> {
    let sql = "SELECT min(CASE WHEN w.busy_until > d.due_at THEN w.busy_until ELSE d.due_at END)
               FROM webhook_deliveries d JOIN webhooks w ON w.id = d.hook_id
               WHERE d.due_at > $1 OR w.busy_until > $1";
    tx.query_one(sql, params![now])?.get(0)
}

/// Claims a hook until `until`; `false` if somebody else has.
pub fn claim(tx: &mut Tx<'_>, hook: HookId, now: Timestamp, until: Timestamp) -> Result<bool> {
    let sql = "UPDATE webhooks SET busy_until = $3 WHERE id = $1 AND busy_until <= $2";
    Ok(tx.execute(sql, params![hook, now, until])? == 1)
}

/// Keeps a claim until `until`; a time that has passed gives it up.
pub fn hold(tx: &mut Tx<'_>, hook: HookId, until: Timestamp) -> Result<()> {
    tx.execute("UPDATE webhooks SET busy_until = $2 WHERE id = $1", params![hook, until]).map(drop)
}

/// The hook's first delivery that is due.
pub fn first_due(tx: &mut Tx<'_>, hook: HookId, now: Timestamp) -> Result<Option<Delivery>> {
    let sql = "SELECT id, kind, idempotency_key, payload, attempts FROM webhook_deliveries
               WHERE hook_id = $1 AND due_at <= $2 ORDER BY id LIMIT 1";
    tx.query_opt(sql, params![hook, now])?
        .map(|row| {
            let mut c = Columns::of(&row);
            Ok(Delivery {
                id: c.next()?,
                kind: c.next()?,
                idempotency_key: c.next()?,
                payload: c.next()?,
                attempts: c.next()?,
            })
        })
        .transpose()
}

/// Tries a delivery again at `due`.
pub fn put_off(tx: &mut Tx<'_>, delivery: i64, due: Timestamp) -> Result<()> {
    let sql = "UPDATE webhook_deliveries SET attempts = attempts + 1, due_at = $2 WHERE id = $1";
    tx.execute(sql, params![delivery, due]).map(drop)
}

/// A delivery is done, or given up.
pub fn done(tx: &mut Tx<'_>, delivery: i64) -> Result<()> {
    tx.execute("DELETE FROM webhook_deliveries WHERE id = $1", params![delivery]).map(drop)
}

/// Writes how often a hook failed since its last success, and until when it is disabled.
pub fn set_failures(
    tx: &mut Tx<'_>,
    hook: HookId,
    failures: u32,
    disabled_until: Option<Timestamp>,
) -> Result<()> {
    let sql = "UPDATE webhooks SET failures = $2, disabled_until = $3 WHERE id = $1";
    tx.execute(sql, params![hook, failures, disabled_until]).map(drop)
}

// The log --------------------------------------------------------------------------------------------------------

/// An attempt to deliver.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Its id; unused in a new one.
    pub id: i64,
    /// The hook.
    pub hook_id: HookId,
    /// GitLab's name of the kind, `push_hooks`.
    pub kind: String,
    /// Where it was sent.
    pub url: String,
    /// The key of its delivery.
    pub idempotency_key: String,
    /// The headers, as JSON.
    pub request_headers: String,
    /// The body, as JSON.
    pub request_data: String,
    /// The answer's headers, as JSON.
    pub response_headers: String,
    /// The answer's body, or the beginning of it.
    pub response_body: String,
    /// The answer's status, or `internal error`.
    pub response_status: String,
    /// Why there was no answer.
    pub error: Option<String>,
    /// Seconds.
    pub duration: f64,
    /// When it ended.
    pub created_at: Timestamp,
}

const ATTEMPT: &str = "id, hook_id, kind, url, idempotency_key, request_headers, request_data, response_headers, \
     response_body, response_status, error, duration, created_at";

fn read_attempt(row: &Row) -> Result<Attempt> {
    let mut c = Columns::of(row);
    Ok(Attempt {
        id: c.next()?,
        hook_id: c.next()?,
        kind: c.next()?,
        url: c.next()?,
        idempotency_key: c.next()?,
        request_headers: c.next()?,
        request_data: c.next()?,
        response_headers: c.next()?,
        response_body: c.next()?,
        response_status: c.next()?,
        error: c.next()?,
        duration: c.next()?,
        created_at: c.next()?,
    })
}

/// Notes an attempt.
pub fn log(tx: &mut Tx<'_>, attempt: &Attempt) -> Result<i64> {
    tx.insert(
        "INSERT INTO webhook_events (hook_id, kind, url, idempotency_key, request_headers, request_data,
             response_headers, response_body, response_status, error, duration, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id",
        params![
            attempt.hook_id,
            attempt.kind,
            attempt.url,
            attempt.idempotency_key,
            attempt.request_headers,
            attempt.request_data,
            attempt.response_headers,
            attempt.response_body,
            attempt.response_status,
            attempt.error,
            attempt.duration,
            attempt.created_at
        ],
    )
}

/// The attempts of a hook whose statuses lie between two, the newest first. Statuses are texts of three digits.
pub fn attempts(tx: &mut Tx<'_>, hook: HookId, statuses: (&str, &str), page: Page) -> Result<Vec<Attempt>> {
    let sql = format!(
        "SELECT {ATTEMPT} FROM webhook_events
         WHERE hook_id = $1 AND response_status >= $2 AND response_status <= $3
         ORDER BY id DESC LIMIT $4 OFFSET $5"
    );
    all(&tx.query(&sql, params![hook, statuses.0, statuses.1, page.limit, page.offset])?, read_attempt)
}

/// How many [`attempts`] there are.
pub fn count_attempts(tx: &mut Tx<'_>, hook: HookId, statuses: (&str, &str)) -> Result<i64> {
    let sql = "SELECT count(*) FROM webhook_events
               WHERE hook_id = $1 AND response_status >= $2 AND response_status <= $3";
    tx.query_one(sql, params![hook, statuses.0, statuses.1])?.get(0)
}

/// One attempt.
pub fn attempt(tx: &mut Tx<'_>, hook: HookId, id: i64) -> Result<Option<Attempt>> {
    let sql = format!("SELECT {ATTEMPT} FROM webhook_events WHERE hook_id = $1 AND id = $2");
    tx.query_opt(&sql, params![hook, id])?.as_ref().map(read_attempt).transpose()
}

/// When the oldest attempt was.
pub fn oldest(tx: &mut Tx<'_>) -> Result<Option<Timestamp>> {
    tx.query_one("SELECT min(created_at) FROM webhook_events", params![])?.get(0)
}

/// Forgets the attempts before a time.
pub fn forget(tx: &mut Tx<'_>, before: Timestamp) -> Result<()> {
    tx.execute("DELETE FROM webhook_events WHERE created_at < $1", params![before]).map(drop)
}
