//! Personal access tokens. Of a token only its SHA-256 is kept.

use weir_api::id::{TokenId, UserId};
use weir_api::{Timestamp, TokenScope};

use crate::columns::{Columns, all};
use crate::secrets::TokenDigest;
use crate::users::{self, User};
use crate::{Page, Result, Row, Tx, params};

/// A token's use is written at most once in so many seconds. Source: `PersonalAccessTokens::LastUsedService`.
const LAST_USED_INTERVAL: i64 = 600;

/// A personal access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// Whose it is.
    pub user_id: UserId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it may be used for.
    pub scopes: Vec<TokenScope>,
    /// Whether it was revoked.
    pub revoked: bool,
    /// The first day on which it is no longer valid, `2026-01-05`.
    pub expires_on: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to ten minutes.
    pub last_used_at: Option<Timestamp>,
}

impl Token {
    /// Whether it is neither revoked nor expired.
    pub fn is_active(&self, now: Timestamp) -> bool {
        !self.revoked && self.expires_on.as_deref().is_none_or(|day| now.date().as_str() < day)
    }
}

/// A token to be.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Whose it is.
    pub user_id: UserId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The SHA-256 of its text.
    pub digest: TokenDigest,
    /// What it may be used for.
    pub scopes: Vec<TokenScope>,
    /// The first day on which it is no longer valid, `2026-01-05`.
    pub expires_on: Option<String>,
}

/// Which tokens to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this user's.
    pub user_id: Option<UserId>,
    /// Only revoked ones, or only others.
    pub revoked: Option<bool>,
    /// Only active ones (neither revoked nor expired on the day given), or only others.
    pub active: Option<(bool, Timestamp)>,
}

const COLUMNS: &str =
    "t.id, t.user_id, t.name, t.description, t.scopes, t.revoked, t.expires_on, t.created_at, t.last_used_at";

fn columns(c: &mut Columns<'_>) -> Result<Token> {
    Ok(Token {
        id: c.next()?,
        user_id: c.next()?,
        name: c.next()?,
        description: c.next()?,
        scopes: c.json()?,
        revoked: c.next()?,
        expires_on: c.next()?,
        created_at: c.next()?,
        last_used_at: c.next()?,
    })
}

fn read(row: &Row) -> Result<Token> {
    columns(&mut Columns::of(row))
}

/// Adds a token.
pub fn insert(tx: &mut Tx<'_>, new: &NewToken, now: Timestamp) -> Result<Token> {
    let scopes = serde_json::to_string(&new.scopes)?;
    let id: TokenId = tx.insert(
        "INSERT INTO personal_access_tokens
             (user_id, name, description, digest, scopes, revoked, expires_on, created_at)
         VALUES ($1, $2, $3, $4, $5, FALSE, $6, $7) RETURNING id",
        params![new.user_id, new.name, new.description, new.digest, scopes, new.expires_on, now],
    )?;
    find(tx, id)?.ok_or(crate::Error::NoRow)
}

/// The token with a digest and its user, whether they are active or not.
pub fn find_by_digest(tx: &mut Tx<'_>, digest: &TokenDigest) -> Result<Option<(Token, User)>> {
    let sql = format!(
        "SELECT {COLUMNS}, {} FROM personal_access_tokens t JOIN users u ON u.id = t.user_id
         WHERE t.digest = $1",
        users::COLUMNS
    );
    with_user(tx.query_opt(&sql, params![digest])?.as_ref())
}

/// The token that opened a web session which has not expired, and its user; whether they are active or not.
pub fn find_by_session(
    tx: &mut Tx<'_>,
    session: &TokenDigest,
    now: Timestamp,
) -> Result<Option<(Token, User)>> {
    let sql = format!(
        "SELECT {COLUMNS}, {} FROM web_sessions s JOIN personal_access_tokens t ON t.id = s.token_id
         JOIN users u ON u.id = t.user_id WHERE s.digest = $1 AND s.expires_at > $2",
        users::COLUMNS
    );
    with_user(tx.query_opt(&sql, params![session, now])?.as_ref())
}

fn with_user(row: Option<&Row>) -> Result<Option<(Token, User)>> {
    row.map(|row| {
        let mut c = Columns::of(row);
        Ok((columns(&mut c)?, users::columns(&mut c)?))
    })
    .transpose()
}

/// The token with an id.
pub fn find(tx: &mut Tx<'_>, id: TokenId) -> Result<Option<Token>> {
    let sql = format!("SELECT {COLUMNS} FROM personal_access_tokens t WHERE t.id = $1");
    tx.query_opt(&sql, params![id])?.as_ref().map(read).transpose()
}

const FILTER: &str = "(CAST($1 AS BIGINT) IS NULL OR t.user_id = $1)
     AND (CAST($2 AS BOOLEAN) IS NULL OR t.revoked = $2)
     AND (CAST($3 AS BOOLEAN) IS NULL
          OR (NOT t.revoked AND (t.expires_on IS NULL OR t.expires_on > $4)) = $3)";

/// Tokens, the oldest first.
pub fn list(tx: &mut Tx<'_>, filter: &Filter, page: Page) -> Result<Vec<Token>> {
    let (active, today) = filter.day();
    let rows = tx.query(
        &format!(
            "SELECT {COLUMNS} FROM personal_access_tokens t WHERE {FILTER} ORDER BY t.id LIMIT $5 OFFSET $6"
        ),
        params![filter.user_id, filter.revoked, active, today, page.limit, page.offset],
    )?;
    all(&rows, read)
}

/// How many tokens [`list`] has.
pub fn count(tx: &mut Tx<'_>, filter: &Filter) -> Result<i64> {
    let (active, today) = filter.day();
    let sql = format!("SELECT count(*) FROM personal_access_tokens t WHERE {FILTER}");
    tx.query_one(&sql, params![filter.user_id, filter.revoked, active, today])?.get(0)
}

impl Filter {
    fn day(&self) -> (Option<bool>, String) {
        self.active.map_or((None, String::new()), |(active, now)| (Some(active), now.date()))
    }
}

/// Notes that the token was used; written at most once in ten minutes.
pub fn used(tx: &mut Tx<'_>, id: TokenId, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE personal_access_tokens SET last_used_at = $2
         WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $3)",
        params![id, now, now.plus_secs(-LAST_USED_INTERVAL)],
    )?;
    Ok(())
}

/// Whether [`used`] would write. A reader asks first and spares the write.
pub fn use_is_due(token: &Token, now: Timestamp) -> bool {
    token.last_used_at.is_none_or(|at| at < now.plus_secs(-LAST_USED_INTERVAL))
}

/// Revokes a token; `false` if it was revoked before or is not there.
pub fn revoke(tx: &mut Tx<'_>, id: TokenId) -> Result<bool> {
    let sql = "UPDATE personal_access_tokens SET revoked = TRUE WHERE id = $1 AND NOT revoked";
    Ok(tx.execute(sql, params![id])? == 1)
}
