//! Forks: copies of a project that go their own way. Source: `app/services/projects/fork_service.rb`.

use weir_api::id::NamespaceId;
use weir_api::{AccessLevel, NamespaceKind, Timestamp, Visibility};
use weir_git::BranchName;
use weir_store::members::Source;
use weir_store::namespaces::{self, Namespace};
use weir_store::projects::{self, Project};
use weir_store::users::User;
use weir_store::{Error as StoreError, Tx};

use super::projects::{Change, New, insert};
use super::{access, instance};
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// Where a fork goes.
#[derive(Debug, Clone)]
pub enum Place {
    /// Into the namespace of whoever forks.
    Own,
    /// Into the namespace with this id.
    Id(NamespaceId),
    /// Into the namespace at this path.
    Path(String),
}

/// What is asked for with a fork.
#[derive(Debug, Clone)]
pub struct NewFork {
    /// Where it goes.
    pub place: Place,
    /// Its name; none takes the parent's.
    pub name: Option<String>,
    /// The last part of its path; none takes the parent's.
    pub path: Option<String>,
    /// What it is about; none takes the parent's.
    pub description: Option<String>,
    /// Who sees it; more than may see the parent, or its namespace, is not possible.
    pub visibility: Option<Visibility>,
    /// The only branch that it gets; none is all.
    pub branch: Option<String>,
}

/// Forks a project. Variables, runners, members and pipelines stay behind.
///
/// # Errors
/// 404 if the namespace is not one where the creator may make projects, 409 if name or path are taken there.
pub async fn create(ctx: &Ctx, creator: &User, parent: &Project, new: NewFork) -> Result<Project> {
    let only = new.branch.clone().filter(|name| !name.is_empty()).map(BranchName::new).transpose()?;
    let source = ctx.repositories.repository(parent.id.0);
    if let Some(branch) = &only
        && !source.branch_exists(branch).await?
    {
        return Err(Error::NotFound("Branch"));
    }
    let (user, now, row) = (creator.clone(), ctx.now(), parent.clone());
    let project = ctx.db.write(move |tx| copy_row(tx, &user, &row, &new, now)).await?;
    if let Err(error) = copy_repository(ctx, parent, &project, only).await {
        let id = project.id;
        ctx.db.write(move |tx| projects::delete(tx, id, now)).await?;
        return Err(error);
    }
    let id = project.id;
    ctx.db.read(move |tx| projects::find(tx, id)).await?.ok_or(Error::NotFound("Project"))
}

async fn copy_repository(
    ctx: &Ctx,
    parent: &Project,
    project: &Project,
    only: Option<BranchName>,
) -> Result<()> {
    let (source, target) =
        (ctx.repositories.repository(parent.id.0), ctx.repositories.repository(project.id.0));
    // What a deleted project may have left under the same id is not this one's.
    target.delete().await?;
    target.create_fork(&source, only.as_ref()).await?;
    let default = match (only, &parent.default_branch) {
        (Some(branch), _) => branch,
        (None, Some(name)) => BranchName::new(name.as_str())?,
        (None, None) => return Ok(()),
    };
    instance::adopt_default_branch(ctx, project.id, default).await
}

fn copy_row(
    tx: &mut Tx<'_>,
    creator: &User,
    parent: &Project,
    new: &NewFork,
    now: Timestamp,
) -> Result<Project> {
    let namespace = target(tx, creator, &new.place, now)?;
    let mut visibility = new.visibility.unwrap_or(parent.visibility).min(parent.visibility);
    if namespace.kind == NamespaceKind::Group {
        visibility = visibility.min(namespace.visibility);
    }
    let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let copy = New {
        name: given(&new.name).or_else(|| Some(parent.name.clone())),
        path: given(&new.path).or_else(|| Some(parent.path.clone())),
        namespace_id: Some(namespace.id),
        visibility: Some(visibility),
        default_branch: None,
        with_readme: false,
        change: Change {
            description: Some(new.description.clone().or_else(|| parent.description.clone())),
            builds_access_level: Some(parent.builds_access_level),
            shared_runners_enabled: Some(parent.shared_runners_enabled && namespace.shared_runners_enabled),
            ci_config_path: Some(parent.settings.ci_config_path.clone()),
            ci_default_git_depth: Some(parent.settings.ci_default_git_depth),
            ..Change::default()
        },
    };
    let project = insert(tx, creator, &copy, now).map_err(|error| match error {
        Error::Invalid(complaints) => Error::ConflictOf(complaints),
        other => other,
    })?;
    projects::set_forked_from(tx, project.id, Some(parent.id))?;
    projects::find(tx, project.id)?.ok_or_else(|| StoreError::NoRow.into())
}

/// The namespace of the fork, if whoever forks may make projects there.
fn target(tx: &mut Tx<'_>, creator: &User, place: &Place, now: Timestamp) -> Result<Namespace> {
    let found = match place {
        Place::Own => namespaces::of_user(tx, creator.id)?,
        Place::Id(id) => namespaces::find(tx, *id)?,
        Place::Path(path) => namespaces::find_by_path(tx, path)?,
    };
    let namespace = found.ok_or(Error::NotFound("Target Namespace"))?;
    let level = access::level(tx, Some(creator), Source::Group(namespace.id), now)?;
    if level < AccessLevel::Developer {
        return Err(Error::NotFound("Target Namespace"));
    }
    Ok(namespace)
}

/// Makes a project no fork any more.
///
/// # Errors
/// 304 in GitLab where it is none; here 404.
pub async fn unlink(ctx: &Ctx, project: &Project) -> Result<()> {
    if project.forked_from_id.is_none() {
        return Err(Error::NotFound("Fork"));
    }
    let id = project.id;
    Ok(ctx.db.write(move |tx| projects::set_forked_from(tx, id, None)).await?)
}
