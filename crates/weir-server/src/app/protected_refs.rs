//! Protected branches and tags: what is protected, not what that means (see [`super::protection`]).

use weir_api::AccessLevel;
use weir_api::id::ProjectId;
use weir_store::protected_refs::{self, ProtectedBranch, ProtectedTag};

use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// The protected branches whose name contains `search`.
pub async fn branches(ctx: &Ctx, project: ProjectId, search: Option<String>) -> Result<Vec<ProtectedBranch>> {
    let mut found = ctx.db.read(move |tx| protected_refs::branches(tx, project)).await?;
    if let Some(search) = search {
        found.retain(|branch| branch.name.contains(&search));
    }
    Ok(found)
}

/// The protected branch, or pattern, of exactly this name.
///
/// # Errors
/// 404.
pub async fn branch(ctx: &Ctx, project: ProjectId, name: &str) -> Result<ProtectedBranch> {
    let found = branches(ctx, project, None).await?;
    found.into_iter().find(|branch| branch.name == name).ok_or(Error::RecordNotFound)
}

/// Protects a branch.
///
/// # Errors
/// 409 if it is protected.
pub async fn protect_branch(ctx: &Ctx, project: ProjectId, new: ProtectedBranch) -> Result<ProtectedBranch> {
    ctx.db
        .write(move |tx| {
            if protected_refs::branches(tx, project)?.iter().any(|branch| branch.name == new.name) {
                return Err(Error::Conflict(format!("Protected branch '{}' already exists", new.name)));
            }
            Ok(protected_refs::insert_branch(tx, project, &new)?)
        })
        .await
}

/// What is to change of a protected branch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change {
    /// Whether force pushes are allowed.
    pub allow_force_push: Option<bool>,
}

/// Changes what is allowed on a protected branch.
///
/// # Errors
/// 404.
pub async fn update_branch(
    ctx: &Ctx,
    project: ProjectId,
    name: &str,
    change: Change,
) -> Result<ProtectedBranch> {
    let mut branch = branch(ctx, project, name).await?;
    branch.allow_force_push = change.allow_force_push.unwrap_or(branch.allow_force_push);
    let row = branch.clone();
    let found = ctx.db.write(move |tx| protected_refs::update_branch(tx, project, &row)).await?;
    if found { Ok(branch) } else { Err(Error::RecordNotFound) }
}

/// Unprotects a branch.
///
/// # Errors
/// 404.
pub async fn unprotect_branch(ctx: &Ctx, project: ProjectId, name: &str) -> Result<()> {
    let name = name.to_owned();
    let found = ctx.db.write(move |tx| protected_refs::delete_branch(tx, project, &name)).await?;
    if found { Ok(()) } else { Err(Error::RecordNotFound) }
}

/// The protected tags.
pub async fn tags(ctx: &Ctx, project: ProjectId) -> Result<Vec<ProtectedTag>> {
    Ok(ctx.db.read(move |tx| protected_refs::tags(tx, project)).await?)
}

/// The protected tag, or pattern, of exactly this name.
///
/// # Errors
/// 404.
pub async fn tag(ctx: &Ctx, project: ProjectId, name: &str) -> Result<ProtectedTag> {
    tags(ctx, project).await?.into_iter().find(|tag| tag.name == name).ok_or(Error::RecordNotFound)
}

/// Protects a tag.
///
/// # Errors
/// 422 if it is protected.
pub async fn protect_tag(
    ctx: &Ctx,
    project: ProjectId,
    name: String,
    create_access_level: AccessLevel,
) -> Result<ProtectedTag> {
    let new = ProtectedTag { id: 0, name, create_access_level };
    ctx.db
        .write(move |tx| {
            if protected_refs::tags(tx, project)?.iter().any(|tag| tag.name == new.name) {
                return Err(Error::Unacceptable(["Name has already been taken"].as_slice().into()));
            }
            Ok(protected_refs::insert_tag(tx, project, &new)?)
        })
        .await
}

/// Unprotects a tag.
///
/// # Errors
/// 404.
pub async fn unprotect_tag(ctx: &Ctx, project: ProjectId, name: &str) -> Result<()> {
    let name = name.to_owned();
    let found = ctx.db.write(move |tx| protected_refs::delete_tag(tx, project, &name)).await?;
    if found { Ok(()) } else { Err(Error::RecordNotFound) }
}
