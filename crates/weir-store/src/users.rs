//! Users.

use weir_api::id::UserId;
use weir_api::{Timestamp, UserState};

use crate::columns::{Columns, all};
use crate::filter::Conditions;
use crate::{Page, Result, Row, ToValue, Tx, bulk, params};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id; the first user has 1.
    pub id: UserId,
    /// Unique, whatever the case.
    pub username: String,
    /// The name shown.
    pub name: String,
    /// Unique, whatever the case.
    pub email: String,
    /// The address that everyone sees.
    pub public_email: Option<String>,
    /// Whether it may sign in.
    pub state: UserState,
    /// Whether it is an administrator.
    pub admin: bool,
    /// Whether it stands for a program.
    pub bot: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last did something.
    pub last_activity_at: Option<Timestamp>,
}

/// A user to be.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Unique, whatever the case.
    pub username: String,
    /// The name shown.
    pub name: String,
    /// Unique, whatever the case.
    pub email: String,
    /// Whether it is an administrator.
    pub admin: bool,
    /// Whether it stands for a program.
    pub bot: bool,
}

/// Which users to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only the one with this name, whatever the case.
    pub username: Option<String>,
    /// Only those whose username, name or e-mail contains it, whatever the case.
    pub search: Option<String>,
    /// Only those in this state.
    pub state: Option<UserState>,
    /// Only administrators, or only others.
    pub admin: Option<bool>,
}

pub(crate) const COLUMNS: &str = "u.id, u.username, u.name, u.email, u.public_email, u.state, u.admin, u.bot, u.created_at, u.last_activity_at";

pub(crate) fn columns(c: &mut Columns<'_>) -> Result<User> {
    Ok(User {
        id: c.next()?,
        username: c.next()?,
        name: c.next()?,
        email: c.next()?,
        public_email: c.next()?,
        state: c.next()?,
        admin: c.next()?,
        bot: c.next()?,
        created_at: c.next()?,
        last_activity_at: c.next()?,
    })
}

fn read(row: &Row) -> Result<User> {
    columns(&mut Columns::of(row))
}

/// Adds a user; [`Error::Conflict`](crate::Error::Conflict) if its username or e-mail is taken. Its namespace is
/// [`namespaces::insert_user`](crate::namespaces::insert_user).
pub fn insert(tx: &mut Tx<'_>, new: &NewUser, now: Timestamp) -> Result<User> {
    let id: UserId = tx.insert(
        "INSERT INTO users (username, name, email, state, admin, bot, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
        params![new.username, new.name, new.email, UserState::Active, new.admin, new.bot, now],
    )?;
    find(tx, id)?.ok_or(crate::Error::NoRow)
}

/// The user with an id.
pub fn find(tx: &mut Tx<'_>, id: UserId) -> Result<Option<User>> {
    let row = tx.query_opt(&format!("SELECT {COLUMNS} FROM users u WHERE u.id = $1"), params![id])?;
    row.as_ref().map(read).transpose()
}

/// Those of the ids that exist, in no order.
pub fn find_all(tx: &mut Tx<'_>, ids: &[UserId]) -> Result<Vec<User>> {
    let rows = bulk::each_of(tx, ids, |ids| format!("SELECT {COLUMNS} FROM users u WHERE u.id IN ({ids})"))?;
    all(&rows, read)
}

/// The user with a name, whatever the case.
pub fn find_by_username(tx: &mut Tx<'_>, username: &str) -> Result<Option<User>> {
    let row = tx.query_opt(
        &format!("SELECT {COLUMNS} FROM users u WHERE lower(u.username) = lower($1)"),
        params![username],
    )?;
    row.as_ref().map(read).transpose()
}

/// The user with an e-mail address, whatever the case.
pub fn find_by_email(tx: &mut Tx<'_>, email: &str) -> Result<Option<User>> {
    let row = tx.query_opt(
        &format!("SELECT {COLUMNS} FROM users u WHERE lower(u.email) = lower($1)"),
        params![email],
    )?;
    row.as_ref().map(read).transpose()
}

fn conditions<'v>(filter: &'v Filter, pattern: Option<&'v String>) -> Conditions<'v> {
    let mut c = Conditions::default();
    c.maybe("lower(u.username) = lower($?)", filter.username.as_ref());
    c.maybe(
        "(lower(u.username) LIKE lower($?) OR lower(u.name) LIKE lower($?) OR lower(u.email) LIKE lower($?))",
        pattern,
    );
    c.maybe("u.state = $?", filter.state.as_ref());
    c.maybe("u.admin = $?", filter.admin.as_ref());
    c
}

/// The pattern of `LIKE` for texts that contain `text`; there is no escape, so its own wildcards match anything.
pub(crate) fn contains(text: &str) -> String {
    format!("%{text}%")
}

/// Users, the newest first.
pub fn list(tx: &mut Tx<'_>, filter: &Filter, page: Page) -> Result<Vec<User>> {
    let pattern = filter.search.as_deref().map(contains);
    let mut c = conditions(filter, pattern.as_ref());
    let (limit, offset) = (c.param(&page.limit), c.param(&page.offset));
    let sql =
        format!("SELECT {COLUMNS} FROM users u{} ORDER BY u.id DESC LIMIT {limit} OFFSET {offset}", c.sql());
    all(&tx.query(&sql, &c.params())?, read)
}

/// How many users [`list`] has.
pub fn count(tx: &mut Tx<'_>, filter: &Filter) -> Result<i64> {
    let pattern = filter.search.as_deref().map(contains);
    let c = conditions(filter, pattern.as_ref());
    tx.query_one(&format!("SELECT count(*) FROM users u{}", c.sql()), &c.params())?.get(0)
}

/// Writes name, e-mail addresses, state and `admin`.
pub fn update(tx: &mut Tx<'_>, user: &User) -> Result<()> {
    tx.execute(
        "UPDATE users SET name = $2, email = $3, public_email = $4, state = $5, admin = $6 WHERE id = $1",
        params![user.id, user.name, user.email, user.public_email, user.state, user.admin],
    )?;
    Ok(())
}

/// Notes that the user did something; written at most once in five minutes.
pub fn active(tx: &mut Tx<'_>, id: UserId, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE users SET last_activity_at = $2
         WHERE id = $1 AND (last_activity_at IS NULL OR last_activity_at < $3)",
        params![id, now, now.plus_secs(-300)],
    )?;
    Ok(())
}

/// Deletes a user with all that is its own; `false` if there is none.
pub fn delete(tx: &mut Tx<'_>, id: UserId) -> Result<bool> {
    Ok(tx.execute("DELETE FROM users WHERE id = $1", params![id])? == 1)
}

/// The hash of the user's password, if it has one.
pub fn password_hash(tx: &mut Tx<'_>, id: UserId) -> Result<Option<String>> {
    let row = tx.query_opt("SELECT password_hash FROM users WHERE id = $1", params![id])?;
    row.map_or(Ok(None), |row| row.get(0))
}

/// Sets or removes the hash of the user's password.
pub fn set_password_hash(tx: &mut Tx<'_>, id: UserId, hash: Option<&str>) -> Result<()> {
    let hash: &dyn ToValue = &hash;
    tx.execute("UPDATE users SET password_hash = $2 WHERE id = $1", &[&id, hash])?;
    Ok(())
}
