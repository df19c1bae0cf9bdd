//! Groups.

use weir_api::id::NamespaceId;
use weir_api::{AccessLevel, NamespaceKind, Visibility};
use weir_store::groups::{self, NewGroup};
use weir_store::members::Source;
use weir_store::namespaces::{self, Filter, Namespace};
use weir_store::projects::Filter as ProjectFilter;
use weir_store::users::User;
use weir_store::{Tx, projects};

use crate::app::{access, paths};
use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

/// The deepest nesting. Source: `Namespace::NUMBER_OF_ANCESTORS_ALLOWED`.
const MAX_DEPTH: usize = 20;

/// One page of groups, and how many there are.
pub async fn list(ctx: &Ctx, filter: Filter, page: Page) -> Result<(Vec<Namespace>, u64)> {
    let filter = Filter { kind: Some(NamespaceKind::Group), ..filter };
    ctx.db
        .read(move |tx| {
            let count = namespaces::count(tx, &filter)?.unsigned_abs();
            Ok((namespaces::list(tx, &filter, page.rows())?, count))
        })
        .await
}

/// What is asked for with a new group.
#[derive(Debug, Clone)]
pub struct New {
    /// The name shown.
    pub name: String,
    /// The last part of its path.
    pub path: String,
    /// What it is about.
    pub description: String,
    /// Who sees it.
    pub visibility: Visibility,
    /// The group that it will be in.
    pub parent_id: Option<NamespaceId>,
}

/// Why a path is refused that another has.
const TAKEN: &str = "has already been taken";

/// A complaint about one field of a group.
type Complaint = (&'static str, String);

/// A new group, owned by who made it.
///
/// # Errors
/// 404 if the parent is hidden from the caller, 403 if no groups may be made there, 400 in the words of
/// `lib/api/groups.rb` if a value cannot be.
pub async fn create(ctx: &Ctx, creator: &User, new: New) -> Result<Namespace> {
    let (creator, now) = (creator.clone(), ctx.now());
    ctx.db
        .write(move |tx| {
            let parent = match new.parent_id {
                None => None,
                Some(id) => {
                    let parent = groups::find(tx, id)?.ok_or(Error::NotFound("Group"))?;
                    let level = access::level(tx, Some(&creator), Source::Group(id), now)?;
                    if level < AccessLevel::Guest && parent.visibility == Visibility::Private {
                        return Err(Error::NotFound("Group"));
                    }
                    if level < AccessLevel::Maintainer {
                        return Err(Error::Forbidden(None));
                    }
                    Some(parent)
                }
            };
            if let Some(complaint) = complaint(tx, &new, parent.as_ref())? {
                return Err(not_saved(&complaint));
            }
            let row = NewGroup {
                parent,
                name: new.name.clone(),
                path: new.path.clone(),
                description: new.description.clone(),
                visibility: new.visibility,
                creator: creator.id,
            };
            groups::insert(tx, &row, now).map_err(|error| match error {
                // Somebody took it after it was looked for.
                error if namespaces::is_path_taken(&error) => not_saved(&("path", TAKEN.to_owned())),
                error => error.into(),
            })
        })
        .await
}

fn complaint(tx: &mut Tx<'_>, new: &New, parent: Option<&Namespace>) -> Result<Option<Complaint>> {
    if let Some(reason) = paths::refuse_namespace(&new.path, parent.is_none()) {
        return Ok(Some(("path", reason.to_owned())));
    }
    if let Some(parent) = parent {
        if namespaces::ancestors(tx, parent.id)?.len() >= MAX_DEPTH {
            return Ok(Some(("parent_id", "has too deep level of nesting".to_owned())));
        }
        if new.visibility > parent.visibility {
            return Ok(Some(("visibility_level", above_parent(new.visibility, parent.visibility))));
        }
    }
    let full_path = parent.map_or_else(|| new.path.clone(), |it| format!("{}/{}", it.full_path, new.path));
    Ok(is_taken(tx, &full_path)?.then(|| ("path", TAKEN.to_owned())))
}

fn above_parent(wanted: Visibility, parent: Visibility) -> String {
    format!("{wanted} is not allowed since the parent group has a {parent} visibility.")
}

/// One path names one thing: a user, a group or a project.
fn is_taken(tx: &mut Tx<'_>, full_path: &str) -> Result<bool> {
    Ok(namespaces::find_by_path(tx, full_path)?.is_some() || projects::find_by_path(tx, full_path)?.is_some())
}

/// GitLab prints the errors of a new group as Ruby prints a hash.
fn not_saved((field, reason): &Complaint) -> Error {
    Error::Invalid(format!("Failed to save group {{:{field}=>[{reason:?}]}}").into())
}

/// What is to change of a group.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The name shown.
    pub name: Option<String>,
    /// The last part of its path.
    pub path: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// Who sees it.
    pub visibility: Option<Visibility>,
    /// Whether its new projects use instance runners.
    pub shared_runners_enabled: Option<bool>,
}

/// Changes a group.
///
/// # Errors
/// 400 if a value cannot be.
pub async fn update(ctx: &Ctx, group: Namespace, change: Change) -> Result<Namespace> {
    let now = ctx.now();
    ctx.db
        .write(move |tx| {
            let mut updated = group.clone();
            if let Some(visibility) = change.visibility {
                check_visibility(tx, &group, visibility)?;
                updated.visibility = visibility;
            }
            if let Some(description) = &change.description {
                updated.description.clone_from(description);
            }
            if let Some(enabled) = change.shared_runners_enabled {
                updated.shared_runners_enabled = enabled;
            }
            groups::update(tx, &updated, now)?;
            let (name, path) =
                (change.name.as_ref().unwrap_or(&group.name), change.path.as_ref().unwrap_or(&group.path));
            if *name != group.name || *path != group.path {
                check_path(tx, &group, path)?;
                groups::rename(tx, &group, name, path, now)?;
            }
            groups::find(tx, group.id)?.ok_or(Error::NotFound("Group"))
        })
        .await
}

fn check_path(tx: &mut Tx<'_>, group: &Namespace, path: &str) -> Result<()> {
    if let Some(reason) = paths::refuse_namespace(path, group.parent_id.is_none()) {
        return Err(Error::field("path", reason));
    }
    let above = group.full_path.rsplit_once('/').map_or("", |(above, _)| above);
    let full_path = if above.is_empty() { path.to_owned() } else { format!("{above}/{path}") };
    if !full_path.eq_ignore_ascii_case(&group.full_path) && is_taken(tx, &full_path)? {
        return Err(Error::field("path", TAKEN));
    }
    Ok(())
}

/// A group is seen by no more than see its parent, and by no fewer than see what is in it.
fn check_visibility(tx: &mut Tx<'_>, group: &Namespace, wanted: Visibility) -> Result<()> {
    let refuse = |reason: String| Err(Error::field("visibility_level", reason));
    if let Some(parent) = group.parent_id.map(|id| groups::find(tx, id)).transpose()?.flatten()
        && wanted > parent.visibility
    {
        return refuse(above_parent(wanted, parent.visibility));
    }
    for higher in Visibility::ALL.iter().copied().filter(|it| *it > wanted) {
        let of_projects = ProjectFilter {
            namespace_id: Some(group.id),
            visibility: Some(higher),
            ..ProjectFilter::default()
        };
        if projects::count(tx, &of_projects)? > 0 {
            return refuse(format!(
                "{wanted} is not allowed since this group contains projects with higher visibility."
            ));
        }
        let of_groups = Filter { parent_id: Some(group.id), visibility: Some(higher), ..Filter::default() };
        if namespaces::count(tx, &of_groups)? > 0 {
            return refuse(format!(
                "{wanted} is not allowed since there are sub-groups with higher visibility."
            ));
        }
    }
    Ok(())
}

/// Deletes a group with all below it.
pub async fn delete(ctx: &Ctx, id: NamespaceId) -> Result<()> {
    let now = ctx.now();
    let below = ProjectFilter { below: Some(id), ..ProjectFilter::default() };
    let gone = ctx.db.read(move |tx| super::projects::ids(tx, below)).await?;
    super::projects::delete_repositories(ctx, &gone).await?;
    ctx.db.write(move |tx| Ok::<_, Error>(groups::delete(tx, id, now)?)).await?;
    ctx.bus.wake(Wake::Background);
    Ok(())
}
