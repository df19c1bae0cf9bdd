//! Namespaces: of users and of groups.

use weir_api::id::{NamespaceId, UserId};
use weir_api::{AccessLevel, NamespaceKind, Timestamp, Visibility};

use crate::columns::{Columns, all};
use crate::filter::Conditions;
use crate::users::{User, contains};
use crate::{Error, Page, Result, Row, Tx, params};

/// A namespace; of kind group, it is the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Its id.
    pub id: NamespaceId,
    /// Whether it is a user's or a group.
    pub kind: NamespaceKind,
    /// The group that it is in.
    pub parent_id: Option<NamespaceId>,
    /// The user whose it is.
    pub owner_id: Option<UserId>,
    /// The name shown.
    pub name: String,
    /// The last part of its path.
    pub path: String,
    /// The names from the root on, `Group / Subgroup`.
    pub full_name: String,
    /// The path from the root on, `group/subgroup`.
    pub full_path: String,
    /// What it is about.
    pub description: String,
    /// Who sees it.
    pub visibility: Visibility,
    /// Whether its new projects use instance runners.
    pub shared_runners_enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Which namespaces to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this kind.
    pub kind: Option<NamespaceKind>,
    /// Only those whose name or path contains it, whatever the case.
    pub search: Option<String>,
    /// Only those right below this one.
    pub parent_id: Option<NamespaceId>,
    /// Only those anywhere below this one.
    pub below: Option<NamespaceId>,
    /// Only those without a parent.
    pub top_level_only: bool,
    /// Only those that this user sees: its own, and groups of which it is a member, above or below those, or that
    /// are not private.
    pub visible_to: Option<UserId>,
    /// Only those that are public. For callers who are nobody.
    pub public_only: bool,
    /// Only those that this user owns, directly or through a group above.
    pub owned_by: Option<UserId>,
    /// Only this user's own, and groups of which it is a member, directly or through a group above.
    pub part_of: Option<UserId>,
    /// Only groups where this user has at least this level, directly or through a group above.
    pub member: Option<(UserId, AccessLevel)>,
    /// Only those with this visibility.
    pub visibility: Option<Visibility>,
    /// The order.
    pub order_by: OrderBy,
    /// Greatest first.
    pub descending: bool,
}

/// The order of a list of namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OrderBy {
    /// By the path from the root on.
    #[default]
    FullPath,
    /// By name.
    Name,
    /// By the last part of the path.
    Path,
    /// By id.
    Id,
}

pub(crate) const COLUMNS: &str = "n.id, n.kind, n.parent_id, n.owner_id, n.name, n.path, n.full_name, \
     n.full_path, n.description, n.visibility, n.shared_runners_enabled, n.created_at, n.updated_at";

fn read(row: &Row) -> Result<Namespace> {
    let mut c = Columns::of(row);
    Ok(Namespace {
        id: c.next()?,
        kind: c.next()?,
        parent_id: c.next()?,
        owner_id: c.next()?,
        name: c.next()?,
        path: c.next()?,
        full_name: c.next()?,
        full_path: c.next()?,
        description: c.next()?,
        visibility: c.next()?,
        shared_runners_enabled: c.next()?,
        created_at: c.next()?,
        updated_at: c.next()?,
    })
}

/// The namespace with an id.
pub fn find(tx: &mut Tx<'_>, id: NamespaceId) -> Result<Option<Namespace>> {
    let sql = format!("SELECT {COLUMNS} FROM namespaces n WHERE n.id = $1");
    tx.query_opt(&sql, params![id])?.as_ref().map(read).transpose()
}

/// Those of the ids that exist, in no order.
pub fn find_all(tx: &mut Tx<'_>, ids: &[NamespaceId]) -> Result<Vec<Namespace>> {
    let sql = |ids: &str| format!("SELECT {COLUMNS} FROM namespaces n WHERE n.id IN ({ids})");
    all(&crate::bulk::each_of(tx, ids, sql)?, read)
}

/// The namespace at a full path, whatever the case.
pub fn find_by_path(tx: &mut Tx<'_>, full_path: &str) -> Result<Option<Namespace>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM routes r JOIN namespaces n ON n.id = r.namespace_id WHERE r.path = lower($1)"
    );
    tx.query_opt(&sql, params![full_path])?.as_ref().map(read).transpose()
}

/// A user's own namespace.
pub fn of_user(tx: &mut Tx<'_>, user_id: UserId) -> Result<Option<Namespace>> {
    let sql = format!("SELECT {COLUMNS} FROM namespaces n WHERE n.owner_id = $1");
    tx.query_opt(&sql, params![user_id])?.as_ref().map(read).transpose()
}

/// The namespace and all above it, the root first.
pub fn ancestors(tx: &mut Tx<'_>, id: NamespaceId) -> Result<Vec<Namespace>> {
    let rows = tx.query(
        &format!(
            "SELECT {COLUMNS} FROM namespace_ancestors a JOIN namespaces n ON n.id = a.ancestor_id
             WHERE a.namespace_id = $1 ORDER BY a.distance DESC"
        ),
        params![id],
    )?;
    all(&rows, read)
}

fn conditions<'v>(filter: &'v Filter, pattern: Option<&'v String>) -> Conditions<'v> {
    let mut c = Conditions::default();
    c.maybe("n.kind = $?", filter.kind.as_ref());
    c.maybe("(lower(n.name) LIKE lower($?) OR lower(n.full_path) LIKE lower($?))", pattern);
    c.maybe("n.parent_id = $?", filter.parent_id.as_ref());
    if filter.top_level_only {
        c.is("n.parent_id IS NULL");
    }
    if filter.public_only {
        c.is("n.visibility = 'public'");
    }
    c.maybe(
        "(n.owner_id = $? OR n.visibility <> 'private'
          OR EXISTS (SELECT 1 FROM members m JOIN namespace_ancestors a ON a.ancestor_id = m.group_id
                     WHERE m.user_id = $? AND a.namespace_id = n.id)
          OR EXISTS (SELECT 1 FROM members m JOIN namespace_ancestors a ON a.namespace_id = m.group_id
                     WHERE m.user_id = $? AND a.ancestor_id = n.id))",
        filter.visible_to.as_ref(),
    );
    c.maybe(
        "(n.owner_id = $? OR EXISTS (
             SELECT 1 FROM members m JOIN namespace_ancestors a ON a.ancestor_id = m.group_id
             WHERE m.user_id = $? AND a.namespace_id = n.id AND m.access_level >= 50))",
        filter.owned_by.as_ref(),
    );
    c.maybe(
        "n.id IN (SELECT a.namespace_id FROM namespace_ancestors a WHERE a.ancestor_id = $? AND a.distance > 0)",
        filter.below.as_ref(),
    );
    c.maybe(
        "(n.owner_id = $? OR EXISTS (
             SELECT 1 FROM members m JOIN namespace_ancestors a ON a.ancestor_id = m.group_id
             WHERE m.user_id = $? AND a.namespace_id = n.id))",
        filter.part_of.as_ref(),
    );
    if let Some((user, level)) = &filter.member {
        let level = level.number();
        c.with(
            &format!(
                "EXISTS (SELECT 1 FROM members m JOIN namespace_ancestors a ON a.ancestor_id = m.group_id
                 WHERE m.user_id = $? AND a.namespace_id = n.id AND m.access_level >= {level})"
            ),
            user,
        );
    }
    if let Some(visibility) = &filter.visibility {
        c.with("n.visibility = $?", visibility);
    }
    c
}

/// Namespaces in the order asked for.
pub fn list(tx: &mut Tx<'_>, filter: &Filter, page: Page) -> Result<Vec<Namespace>> {
    let pattern = filter.search.as_deref().map(contains);
    let mut c = conditions(filter, pattern.as_ref());
    let (limit, offset) = (c.param(&page.limit), c.param(&page.offset));
    let order = match filter.order_by {
        OrderBy::FullPath => "lower(n.full_path)",
        OrderBy::Name => "lower(n.name)",
        OrderBy::Path => "lower(n.path)",
        OrderBy::Id => "n.id",
    };
    let sort = if filter.descending { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT {COLUMNS} FROM namespaces n{} ORDER BY {order} {sort}, n.id {sort} LIMIT {limit} OFFSET {offset}",
        c.sql()
    );
    all(&tx.query(&sql, &c.params())?, read)
}

/// How many namespaces [`list`] has.
pub fn count(tx: &mut Tx<'_>, filter: &Filter) -> Result<i64> {
    let pattern = filter.search.as_deref().map(contains);
    let c = conditions(filter, pattern.as_ref());
    tx.query_one(&format!("SELECT count(*) FROM namespaces n{}", c.sql()), &c.params())?.get(0)
}

/// Adds a user's own namespace, at its username.
pub fn insert_user(tx: &mut Tx<'_>, user: &User, now: Timestamp) -> Result<Namespace> {
    let row = Namespace {
        id: NamespaceId(0),
        kind: NamespaceKind::User,
        parent_id: None,
        owner_id: Some(user.id),
        name: user.name.clone(),
        path: user.username.clone(),
        full_name: user.name.clone(),
        full_path: user.username.clone(),
        description: String::new(),
        visibility: Visibility::Public,
        shared_runners_enabled: true,
        created_at: now,
        updated_at: now,
    };
    insert(tx, row)
}

/// Adds a row with its route and its ancestors. [`Error::Conflict`] if the path is taken.
pub(crate) fn insert(tx: &mut Tx<'_>, mut row: Namespace) -> Result<Namespace> {
    row.id = tx.insert(
        "INSERT INTO namespaces (kind, parent_id, owner_id, name, path, full_name, full_path, description,
             visibility, shared_runners_enabled, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id",
        params![
            row.kind,
            row.parent_id,
            row.owner_id,
            row.name,
            row.path,
            row.full_name,
            row.full_path,
            row.description,
            row.visibility,
            row.shared_runners_enabled,
            row.created_at,
            row.updated_at
        ],
    )?;
    tx.execute(
        "INSERT INTO routes (path, namespace_id) VALUES (lower($1), $2)",
        params![row.full_path, row.id],
    )?;
    tx.execute(
        "INSERT INTO namespace_ancestors (namespace_id, ancestor_id, distance) VALUES ($1, $1, 0)",
        params![row.id],
    )?;
    if let Some(parent) = row.parent_id {
        tx.execute(
            "INSERT INTO namespace_ancestors (namespace_id, ancestor_id, distance)
             SELECT CAST($1 AS BIGINT), ancestor_id, distance + 1 FROM namespace_ancestors
             WHERE namespace_id = $2",
            params![row.id, parent],
        )?;
    }
    Ok(row)
}

/// Whether an error says that a full path is taken.
pub fn is_path_taken(error: &Error) -> bool {
    matches!(error, Error::Conflict { constraint } if constraint == "routes.path")
}
