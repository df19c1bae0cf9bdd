//! Members of groups and projects.

use weir_api::id::{NamespaceId, ProjectId, UserId};
use weir_api::{AccessLevel, Timestamp};

use crate::columns::{Columns, all};
use crate::users::{self, User, contains};
use crate::{Page, Result, Row, Tx, bulk, params};

/// What one is a member of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A group.
    Group(NamespaceId),
    /// A project.
    Project(ProjectId),
}

/// A membership and its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: User,
    /// With which level.
    pub access_level: AccessLevel,
    /// Who made the membership.
    pub created_by: Option<UserId>,
    /// When.
    pub created_at: Timestamp,
    /// The first day on which it no longer counts, `2026-01-05`.
    pub expires_on: Option<String>,
}

fn read(row: &Row) -> Result<Member> {
    let mut c = Columns::of(row);
    Ok(Member {
        user: users::columns(&mut c)?,
        access_level: c.next()?,
        created_by: c.next()?,
        created_at: c.next()?,
        expires_on: c.next()?,
    })
}

impl Source {
    fn column(self) -> &'static str {
        match self {
            Self::Group(_) => "group_id",
            Self::Project(_) => "project_id",
        }
    }

    fn id(self) -> i64 {
        match self {
            Self::Group(id) => id.0,
            Self::Project(id) => id.0,
        }
    }

    /// The memberships that count here, inherited ones included, as a condition on `m` with the id as `$1`.
    fn inherited(self) -> &'static str {
        match self {
            Self::Group(_) => {
                "m.group_id IN (SELECT a.ancestor_id FROM namespace_ancestors a WHERE a.namespace_id = $1)"
            }
            Self::Project(_) => {
                "(m.project_id = $1 OR m.group_id IN (
                      SELECT a.ancestor_id FROM projects p
                      JOIN namespace_ancestors a ON a.namespace_id = p.namespace_id WHERE p.id = $1))"
            }
        }
    }
}

/// Adds a member; [`Error::Conflict`](crate::Error::Conflict) if the user is one.
pub fn insert(
    tx: &mut Tx<'_>,
    source: Source,
    user_id: UserId,
    access_level: AccessLevel,
    expires_on: Option<&str>,
    created_by: Option<UserId>,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        &format!(
            "INSERT INTO members (user_id, {}, access_level, expires_on, created_by, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
            source.column()
        ),
        params![user_id, source.id(), access_level, expires_on, created_by, now],
    )?;
    Ok(())
}

/// Changes a member's level and expiry; `false` if the user is none.
pub fn update(
    tx: &mut Tx<'_>,
    source: Source,
    user_id: UserId,
    access_level: AccessLevel,
    expires_on: Option<&str>,
) -> Result<bool> {
    let sql = format!(
        "UPDATE members SET access_level = $3, expires_on = $4 WHERE {} = $1 AND user_id = $2",
        source.column()
    );
    Ok(tx.execute(&sql, params![source.id(), user_id, access_level, expires_on])? == 1)
}

/// Removes a member; `false` if the user is none.
pub fn delete(tx: &mut Tx<'_>, source: Source, user_id: UserId) -> Result<bool> {
    let sql = format!("DELETE FROM members WHERE {} = $1 AND user_id = $2", source.column());
    Ok(tx.execute(&sql, params![source.id(), user_id])? == 1)
}

/// Which members to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Also those of the groups above.
    pub inherited: bool,
    /// Only those whose username or name contains it, whatever the case.
    pub query: Option<String>,
    /// Only this user.
    pub user_id: Option<UserId>,
}

fn conditions(source: Source, filter: &Filter) -> String {
    let of =
        if filter.inherited { source.inherited().to_owned() } else { format!("m.{} = $1", source.column()) };
    format!(
        "{of} AND ($2 = '' OR lower(u.username) LIKE lower($2) OR lower(u.name) LIKE lower($2))
         AND (CAST($3 AS BIGINT) IS NULL OR m.user_id = $3)"
    )
}

/// Members in the order of their ids. Of a user's several memberships the highest counts.
pub fn list(tx: &mut Tx<'_>, source: Source, filter: &Filter, page: Page) -> Result<Vec<Member>> {
    let pattern = filter.query.as_deref().map(contains).unwrap_or_default();
    let columns = format!("{}, m.access_level, m.created_by, m.created_at, m.expires_on", users::COLUMNS);
    let sql = format!(
        "SELECT {columns} FROM members m JOIN users u ON u.id = m.user_id
         WHERE m.id IN (
             SELECT id FROM (
                 SELECT m.id, row_number() OVER (
                     PARTITION BY m.user_id ORDER BY m.access_level DESC, m.id) AS place
                 FROM members m JOIN users u ON u.id = m.user_id WHERE {}) AS ranked
             WHERE place = 1)
         ORDER BY u.id LIMIT $4 OFFSET $5",
        conditions(source, filter)
    );
    let rows = tx.query(&sql, params![source.id(), pattern, filter.user_id, page.limit, page.offset])?;
    all(&rows, read)
}

/// How many members [`list`] has.
pub fn count(tx: &mut Tx<'_>, source: Source, filter: &Filter) -> Result<i64> {
    let pattern = filter.query.as_deref().map(contains).unwrap_or_default();
    let sql = format!(
        "SELECT count(DISTINCT m.user_id) FROM members m JOIN users u ON u.id = m.user_id WHERE {}",
        conditions(source, filter)
    );
    tx.query_one(&sql, params![source.id(), pattern, filter.user_id])?.get(0)
}

/// A user's level in a group or project today: the highest of the own membership, those of the groups above, and
/// Owner in the user's own namespace. [`AccessLevel::NoAccess`] if there is none.
pub fn access_level(tx: &mut Tx<'_>, source: Source, user_id: UserId, now: Timestamp) -> Result<AccessLevel> {
    let own = match source {
        Source::Group(_) => "SELECT 50 FROM namespaces n WHERE n.id = $1 AND n.owner_id = $2",
        Source::Project(_) => {
            "SELECT 50 FROM projects p JOIN namespaces n ON n.id = p.namespace_id
             WHERE p.id = $1 AND n.owner_id = $2"
        }
    };
    let sql = format!(
        "SELECT max(access_level) FROM (
             SELECT m.access_level FROM members m
             WHERE m.user_id = $2 AND {} AND (m.expires_on IS NULL OR m.expires_on > $3)
             UNION ALL {own}) AS levels",
        source.inherited()
    );
    let level: Option<AccessLevel> = tx.query_one(&sql, params![source.id(), user_id, now.date()])?.get(0)?;
    Ok(level.unwrap_or(AccessLevel::NoAccess))
}

/// A user's level by the project's own members and by its groups, for the `permissions` of a project.
pub fn direct_and_group_level(
    tx: &mut Tx<'_>,
    project_id: ProjectId,
    user_id: UserId,
    now: Timestamp,
) -> Result<(Option<AccessLevel>, Option<AccessLevel>)> {
    let row = tx.query_one(
        "SELECT max(CASE WHEN m.project_id IS NOT NULL THEN m.access_level END),
                max(CASE WHEN m.group_id IS NOT NULL THEN m.access_level END)
         FROM members m
         WHERE m.user_id = $2 AND (m.expires_on IS NULL OR m.expires_on > $3)
           AND (m.project_id = $1 OR m.group_id IN (
                SELECT a.ancestor_id FROM projects p
                JOIN namespace_ancestors a ON a.namespace_id = p.namespace_id WHERE p.id = $1))",
        params![project_id, user_id, now.date()],
    )?;
    Ok((row.get(0)?, row.get(1)?))
}

/// The levels that a user has in one project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// The project.
    pub project_id: ProjectId,
    /// As a member of the project itself.
    pub direct: Option<AccessLevel>,
    /// As a member of its groups.
    pub group: Option<AccessLevel>,
}

/// The levels that a user has in projects, by the project's own members and by its groups; projects where there is
/// none are left out.
pub fn levels(
    tx: &mut Tx<'_>,
    project_ids: &[ProjectId],
    user_id: UserId,
    now: Timestamp,
) -> Result<Vec<Levels>> {
    let (user, today) = (user_id.0, now.date());
    let rows = bulk::each_of(tx, project_ids, |ids| {
        format!(
            "SELECT p.id, max(CASE WHEN m.project_id IS NOT NULL THEN m.access_level END),
                    max(CASE WHEN m.group_id IS NOT NULL THEN m.access_level END)
             FROM projects p
             JOIN members m ON m.user_id = {user} AND (m.expires_on IS NULL OR m.expires_on > '{today}')
                  AND (m.project_id = p.id OR m.group_id IN (
                       SELECT a.ancestor_id FROM namespace_ancestors a WHERE a.namespace_id = p.namespace_id))
             WHERE p.id IN ({ids}) GROUP BY p.id"
        )
    })?;
    rows.iter()
        .map(|row| Ok(Levels { project_id: row.get(0)?, direct: row.get(1)?, group: row.get(2)? }))
        .collect()
}

/// The highest membership of a user in the groups above, with the name of its group.
pub fn from_above(
    tx: &mut Tx<'_>,
    source: Source,
    user_id: UserId,
    now: Timestamp,
) -> Result<Option<(AccessLevel, String)>> {
    let above = match source {
        Source::Group(_) => "SELECT ancestor_id FROM namespace_ancestors WHERE namespace_id = $1 AND distance > 0",
        Source::Project(_) => {
            "SELECT a.ancestor_id FROM projects p JOIN namespace_ancestors a ON a.namespace_id = p.namespace_id
             WHERE p.id = $1"
        }
    };
    let row = tx.query_opt(
        &format!(
            "SELECT m.access_level, n.name FROM members m JOIN namespaces n ON n.id = m.group_id
             WHERE m.user_id = $2 AND m.group_id IN ({above}) AND (m.expires_on IS NULL OR m.expires_on > $3)
             ORDER BY m.access_level DESC LIMIT 1"
        ),
        params![source.id(), user_id, now.date()],
    )?;
    row.map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
}

/// How many owners a group has of its own.
pub fn count_owners(tx: &mut Tx<'_>, group_id: NamespaceId) -> Result<i64> {
    let sql = "SELECT count(*) FROM members WHERE group_id = $1 AND access_level >= 50";
    tx.query_one(sql, params![group_id])?.get(0)
}

/// How many users are members of a group or of something below it.
pub fn count_with_descendants(tx: &mut Tx<'_>, group_id: NamespaceId) -> Result<i64> {
    let sql = "SELECT count(DISTINCT m.user_id) FROM members m
               WHERE m.group_id IN (SELECT a.namespace_id FROM namespace_ancestors a WHERE a.ancestor_id = $1)
                  OR m.project_id IN (
                     SELECT p.id FROM projects p JOIN namespace_ancestors a ON a.namespace_id = p.namespace_id
                     WHERE a.ancestor_id = $1)";
    tx.query_one(sql, params![group_id])?.get(0)
}
