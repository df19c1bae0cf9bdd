//! Protected branches and tags. Names may hold `*`; whether one matches a ref is decided above.

use weir_api::AccessLevel;
use weir_api::id::ProjectId;

use crate::columns::{Columns, all};
use crate::{Result, Row, Tx, params};

/// A protected branch, or a pattern of branches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtectedBranch {
    /// Its id.
    pub id: i64,
    /// The name or pattern.
    pub name: String,
    /// Who may push.
    pub push_access_level: AccessLevel,
    /// Who may merge.
    pub merge_access_level: AccessLevel,
    /// Whether force pushes are allowed.
    pub allow_force_push: bool,
}

/// A protected tag, or a pattern of tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtectedTag {
    /// Its id.
    pub id: i64,
    /// The name or pattern.
    pub name: String,
    /// Who may create.
    pub create_access_level: AccessLevel,
}

fn read_branch(row: &Row) -> Result<ProtectedBranch> {
    let mut c = Columns::of(row);
    Ok(ProtectedBranch {
        id: c.next()?,
        name: c.next()?,
        push_access_level: c.next()?,
        merge_access_level: c.next()?,
        allow_force_push: c.next()?,
    })
}

fn read_tag(row: &Row) -> Result<ProtectedTag> {
    let mut c = Columns::of(row);
    Ok(ProtectedTag { id: c.next()?, name: c.next()?, create_access_level: c.next()? })
}

/// A project's protected branches, in order of their names.
pub fn branches(tx: &mut Tx<'_>, project_id: ProjectId) -> Result<Vec<ProtectedBranch>> {
    let rows = tx.query(
        "SELECT id, name, push_access_level, merge_access_level, allow_force_push
         FROM protected_branches WHERE project_id = $1 ORDER BY name",
        params![project_id],
    )?;
    all(&rows, read_branch)
}

/// Protects a branch; [`Error::Conflict`](crate::Error::Conflict) if the name is protected. The id given is not
/// used.
pub fn insert_branch(
    tx: &mut Tx<'_>,
    project_id: ProjectId,
    branch: &ProtectedBranch,
) -> Result<ProtectedBranch> {
    let id = tx.insert(
        "INSERT INTO protected_branches
             (project_id, name, push_access_level, merge_access_level, allow_force_push)
         VALUES ($1, $2, $3, $4, $5) RETURNING id",
        params![
            project_id,
            branch.name,
            branch.push_access_level,
            branch.merge_access_level,
            branch.allow_force_push
        ],
    )?;
    Ok(ProtectedBranch { id, ..branch.clone() })
}

/// Writes what is allowed on a protected branch; `false` if it is not protected.
pub fn update_branch(tx: &mut Tx<'_>, project_id: ProjectId, branch: &ProtectedBranch) -> Result<bool> {
    let sql = "UPDATE protected_branches
               SET push_access_level = $3, merge_access_level = $4, allow_force_push = $5
               WHERE project_id = $1 AND name = $2";
    let changed = tx.execute(
        sql,
        params![
            project_id,
            branch.name,
            branch.push_access_level,
            branch.merge_access_level,
            branch.allow_force_push
        ],
    )?;
    Ok(changed == 1)
}

/// Unprotects a branch; `false` if it was not protected.
pub fn delete_branch(tx: &mut Tx<'_>, project_id: ProjectId, name: &str) -> Result<bool> {
    let sql = "DELETE FROM protected_branches WHERE project_id = $1 AND name = $2";
    Ok(tx.execute(sql, params![project_id, name])? == 1)
}

/// A project's protected tags, in order of their names.
pub fn tags(tx: &mut Tx<'_>, project_id: ProjectId) -> Result<Vec<ProtectedTag>> {
    let rows = tx.query(
        "SELECT id, name, create_access_level FROM protected_tags WHERE project_id = $1 ORDER BY name",
        params![project_id],
    )?;
    all(&rows, read_tag)
}

/// Protects a tag; [`Error::Conflict`](crate::Error::Conflict) if the name is protected. The id given is not used.
pub fn insert_tag(tx: &mut Tx<'_>, project_id: ProjectId, tag: &ProtectedTag) -> Result<ProtectedTag> {
    let id = tx.insert(
        "INSERT INTO protected_tags (project_id, name, create_access_level) VALUES ($1, $2, $3) RETURNING id",
        params![project_id, tag.name, tag.create_access_level],
    )?;
    Ok(ProtectedTag { id, ..tag.clone() })
}

/// Unprotects a tag; `false` if it was not protected.
pub fn delete_tag(tx: &mut Tx<'_>, project_id: ProjectId, name: &str) -> Result<bool> {
    let sql = "DELETE FROM protected_tags WHERE project_id = $1 AND name = $2";
    Ok(tx.execute(sql, params![project_id, name])? == 1)
}
