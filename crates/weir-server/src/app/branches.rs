//! Branches: found, listed, created, deleted. Source: `app/services/branches/`.

use weir_api::Timestamp;
use weir_git::{Branch, BranchName, Error as GitError, RefOrder, RefUpdate};
use weir_store::projects::Project;
use weir_store::users::User;

use super::access::Access;
use super::commits::{self, NewCommit};
use super::protection::{self, Protection};
use super::{git_access, pushes, refs};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

/// A branch with what it means for whoever looks at it.
#[derive(Debug, Clone)]
pub struct BranchDetails {
    /// The branch.
    pub branch: Branch,
    /// Its protection.
    pub protection: Option<Protection>,
    /// Whether it is the default one.
    pub default: bool,
    /// Whether the default branch holds it and is further on.
    pub merged: bool,
    /// Whether the caller may push to it.
    pub can_push: bool,
}

/// Reads a branch's name out of a path.
///
/// # Errors
/// 400 if no branch can have it.
pub fn name(text: &str) -> Result<BranchName> {
    BranchName::new(text).map_err(|_| Error::Invalid("The branch refname is invalid".into()))
}

/// One branch.
pub async fn find(ctx: &Ctx, access: &Access, name: &BranchName) -> Result<BranchDetails> {
    let repository = commits::repository(ctx, &access.project);
    let branch = repository.branch(name).await.map_err(|error| match error {
        GitError::NoRepository => Error::NotFound("Branch"),
        other => other.into(),
    })?;
    let mut found = details(ctx, access, vec![branch]).await?;
    found.pop().ok_or(Error::NotFound("Branch"))
}

/// Whether a branch exists.
pub async fn exists(ctx: &Ctx, project: &Project, name: &str) -> Result<bool> {
    let Ok(name) = BranchName::new(name) else { return Ok(false) };
    Ok(commits::repository(ctx, project).branch_exists(&name).await?)
}

/// One page of the branches whose name fits a search, and how many there are.
pub async fn list(
    ctx: &Ctx,
    access: &Access,
    search: Option<&str>,
    order: RefOrder,
    at: refs::At<'_>,
    page: Page,
) -> Result<(Vec<BranchDetails>, u64)> {
    let repository = commits::repository(ctx, &access.project);
    let token = |name: &str| BranchName::new(name).ok().map(|name| name.to_ref());
    let Some(range) = refs::range(&repository, search, order, at, page, token).await? else {
        return Ok((Vec::new(), 0));
    };
    let listing = repository.branches(search, order, range).await?;
    Ok((details(ctx, access, listing.items).await?, listing.total as u64))
}

async fn details(ctx: &Ctx, access: &Access, branches: Vec<Branch>) -> Result<Vec<BranchDetails>> {
    let project = access.project.clone();
    let names: Vec<_> = branches.iter().map(|branch| branch.name.to_ref()).collect();
    let protections = ctx.db.read(move |tx| protection::of_refs(tx, &project, &names)).await?;
    let repository = commits::repository(ctx, &access.project);
    let default = access.project.default_branch.as_deref();
    let root = match default.and_then(|name| BranchName::new(name).ok()) {
        Some(name) => repository.read_ref(&name.to_ref()).await?,
        None => None,
    };
    let merged = match &root {
        Some(root) if branches.iter().any(|branch| branch.commit.id != *root) => {
            repository.branches_merged_into(root).await?
        }
        _ => std::collections::HashSet::new(),
    };
    let standing = access.standing;
    let may_write = standing.may(crate::auth::Action::WriteCode) && !access.project.archived;
    let all = branches.into_iter().zip(protections).map(|(branch, protection)| BranchDetails {
        default: default == Some(branch.name.as_ref()),
        merged: merged.contains(&branch.name) && root.as_ref() != Some(&branch.commit.id),
        can_push: may_write && protection.is_none_or(|it| it.lets_push(standing.level)),
        protection,
        branch,
    });
    Ok(all.collect())
}

/// Creates a branch at a branch, tag or commit.
///
/// # Errors
/// 400 in GitLab's words.
pub async fn create(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    name: &str,
    from: &str,
) -> Result<BranchDetails> {
    demand_writable(access)?;
    let repository = commits::ensured(ctx, &access.project).await?;
    if repository.is_empty().await? {
        begin(ctx, access, user).await?;
    }
    let name = BranchName::new(name).map_err(|invalid| Error::Invalid(invalid.to_string().into()))?;
    let update = repository.prepare_branch(&name, from).await?;
    pushes::by_api(ctx, access, user, &update).await?;
    find(ctx, access, &name).await
}

/// An empty repository has nothing to branch from, so it gets a default branch first.
async fn begin(ctx: &Ctx, access: &Access, user: &User) -> Result<()> {
    let branch = access.project.default_branch.clone().unwrap_or_else(|| commits::FIRST_BRANCH.to_owned());
    let file =
        commits::Change::file(weir_api::commits::CommitActionKind::Create, "README.md", Some(Vec::new()));
    let new = NewCommit::new(branch, "Add README.md".to_owned(), vec![file]);
    commits::create(ctx, access, user, new).await?;
    Ok(())
}

/// Deletes a branch.
///
/// # Errors
/// 412 if its commit is newer than `unmodified_since`; 400 if it is the default branch or protected.
pub async fn delete(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    name: &BranchName,
    unmodified_since: Option<Timestamp>,
) -> Result<()> {
    demand_writable(access)?;
    let found = find(ctx, access, name).await?;
    let commit = &found.branch.commit;
    if unmodified_since.is_some_and(|since| commit.author.timestamp() > since) {
        return Err(Error::PreconditionFailed);
    }
    let update = RefUpdate { old: commit.id.clone(), new: weir_git::ObjectId::zero(), name: name.to_ref() };
    pushes::by_api(ctx, access, user, &update).await
}

/// Nothing changes in the repository of an archived project.
pub(super) fn demand_writable(access: &Access) -> Result<()> {
    if access.project.archived { Err(Error::Forbidden(None)) } else { Ok(()) }
}

/// Demands that the caller may push to a branch.
///
/// # Errors
/// 403 with GitLab's reason.
pub async fn demand_push(ctx: &Ctx, access: &Access, branch: &str) -> Result<()> {
    let allowed = match BranchName::new(branch) {
        Ok(name) => git_access::may_push(ctx, access, &name).await?,
        Err(_) => access.standing.may(crate::auth::Action::WriteCode) && !access.project.archived,
    };
    if allowed { Ok(()) } else { Err(Error::forbidden(commits::NO_PUSH)) }
}
