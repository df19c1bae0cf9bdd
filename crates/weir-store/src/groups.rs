//! Groups: namespaces of kind group.

use weir_api::id::{NamespaceId, UserId};
use weir_api::{AccessLevel, NamespaceKind, Timestamp, Visibility};

use crate::namespaces::{self, Namespace};
use crate::{Result, Tx, bulk, object_deletions, params};

/// A group to be.
#[derive(Debug, Clone)]
pub struct NewGroup {
    /// The group that it is in.
    pub parent: Option<Namespace>,
    /// The name shown.
    pub name: String,
    /// The last part of its path.
    pub path: String,
    /// What it is about.
    pub description: String,
    /// Who sees it.
    pub visibility: Visibility,
    /// Who makes it, and becomes its owner.
    pub creator: UserId,
}

/// Adds a group and makes its creator the owner. [`Error::Conflict`](crate::Error::Conflict) if the path is
/// taken.
pub fn insert(tx: &mut Tx<'_>, new: &NewGroup, now: Timestamp) -> Result<Namespace> {
    let (full_name, full_path) = match &new.parent {
        Some(parent) => {
            (format!("{} / {}", parent.full_name, new.name), format!("{}/{}", parent.full_path, new.path))
        }
        None => (new.name.clone(), new.path.clone()),
    };
    let row = Namespace {
        id: NamespaceId(0),
        kind: NamespaceKind::Group,
        parent_id: new.parent.as_ref().map(|parent| parent.id),
        owner_id: None,
        name: new.name.clone(),
        path: new.path.clone(),
        full_name,
        full_path,
        description: new.description.clone(),
        visibility: new.visibility,
        shared_runners_enabled: true,
        created_at: now,
        updated_at: now,
    };
    let group = namespaces::insert(tx, row)?;
    tx.execute(
        "INSERT INTO members (user_id, group_id, access_level, created_by, created_at)
         VALUES ($1, $2, $3, $1, $4)",
        params![new.creator, group.id, AccessLevel::Owner, now],
    )?;
    Ok(group)
}

/// The group with an id; `None` also for a user's namespace.
pub fn find(tx: &mut Tx<'_>, id: NamespaceId) -> Result<Option<Namespace>> {
    Ok(namespaces::find(tx, id)?.filter(|found| found.kind == NamespaceKind::Group))
}

/// The group at a full path, whatever the case.
pub fn find_by_path(tx: &mut Tx<'_>, full_path: &str) -> Result<Option<Namespace>> {
    Ok(namespaces::find_by_path(tx, full_path)?.filter(|found| found.kind == NamespaceKind::Group))
}

/// Writes description, visibility and `shared_runners_enabled`. Name and path move with [`rename`].
pub fn update(tx: &mut Tx<'_>, group: &Namespace, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE namespaces SET description = $2, visibility = $3, shared_runners_enabled = $4, updated_at = $5
         WHERE id = $1",
        params![group.id, group.description, group.visibility, group.shared_runners_enabled, now],
    )?;
    Ok(())
}

/// Gives a group another name and path, and with it all below it.
pub fn rename(tx: &mut Tx<'_>, group: &Namespace, name: &str, path: &str, now: Timestamp) -> Result<()> {
    let above = |full: &str, separator: &str, last: &str| {
        full.rsplit_once(separator)
            .map_or_else(|| last.to_owned(), |(above, _)| format!("{above}{separator}{last}"))
    };
    let full_name = match group.parent_id.map(|id| namespaces::find(tx, id)).transpose()?.flatten() {
        Some(parent) => format!("{} / {name}", parent.full_name),
        None => name.to_owned(),
    };
    let full_path = above(&group.full_path, "/", path);
    tx.execute(
        "UPDATE namespaces SET name = $2, path = $3, updated_at = $4 WHERE id = $1",
        params![group.id, name, path, now],
    )?;
    let below = "(SELECT a.namespace_id FROM namespace_ancestors a WHERE a.ancestor_id = $1)";
    let path_length = group.full_path.chars().count() + 1;
    let (path_length, name_length) = (to_i64(path_length), to_i64(group.full_name.chars().count() + 1));
    tx.execute(
        &format!(
            "UPDATE projects SET full_path = $2 || substr(full_path, CAST($3 AS INTEGER))
             WHERE namespace_id IN {below}"
        ),
        params![group.id, full_path, path_length],
    )?;
    tx.execute(
        &format!(
            "UPDATE routes SET path = lower($2) || substr(path, CAST($3 AS INTEGER))
             WHERE namespace_id IN {below}
                OR project_id IN (SELECT p.id FROM projects p WHERE p.namespace_id IN {below})"
        ),
        params![group.id, full_path, path_length],
    )?;
    tx.execute(
        &format!(
            "UPDATE namespaces SET full_path = $2 || substr(full_path, CAST($3 AS INTEGER)),
                 full_name = $4 || substr(full_name, CAST($5 AS INTEGER))
             WHERE id IN {below}"
        ),
        params![group.id, full_path, path_length, full_name, name_length],
    )?;
    Ok(())
}

fn to_i64(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Deletes a group with all below it; its objects are left to [`object_deletions`]. `false` if there is none.
pub fn delete(tx: &mut Tx<'_>, id: NamespaceId, now: Timestamp) -> Result<bool> {
    let rows = tx.query(
        "SELECT p.id FROM projects p JOIN namespace_ancestors a ON a.namespace_id = p.namespace_id
         WHERE a.ancestor_id = $1",
        params![id],
    )?;
    let projects = rows.iter().map(|row| row.get::<i64>(0)).collect::<Result<Vec<_>>>()?;
    for objects in [
        "SELECT object_key FROM artifacts WHERE project_id",
        "SELECT t.object_key FROM traces t JOIN jobs j ON j.id = t.job_id
         WHERE t.object_key IS NOT NULL AND j.project_id",
    ] {
        let rows = bulk::each_of(tx, &projects, |ids| format!("{objects} IN ({ids})"))?;
        let keys = rows.iter().map(|row| row.get(0)).collect::<Result<Vec<String>>>()?;
        object_deletions::add(tx, &keys, now)?;
    }
    Ok(tx.execute("DELETE FROM namespaces WHERE id = $1 AND kind = 'group'", params![id])? == 1)
}
