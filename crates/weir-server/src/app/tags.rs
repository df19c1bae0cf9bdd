//! Tags: found, listed, created, deleted. Source: `app/services/tags/`.

use weir_api::{AccessLevel, Timestamp};
use weir_git::{Error as GitError, ObjectId, RefOrder, RefUpdate, Signature, Tag, TagName};
use weir_store::users::User;

use super::access::Access;
use super::branches::demand_writable;
use super::{commits, protection, pushes, refs};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

/// A tag, and whether it is protected.
#[derive(Debug, Clone)]
pub struct TagDetails {
    /// The tag.
    pub tag: Tag,
    /// Whether it is protected.
    pub protected: bool,
}

/// One tag.
pub async fn find(ctx: &Ctx, access: &Access, name: &str) -> Result<TagDetails> {
    let name = TagName::new(name).map_err(|_| Error::NotFound("Tag"))?;
    let tag = commits::repository(ctx, &access.project).tag(&name).await;
    let tag = tag.map_err(|error| match error {
        GitError::NoRepository => Error::NotFound("Tag"),
        other => other.into(),
    })?;
    details(ctx, access, vec![tag]).await?.pop().ok_or(Error::NotFound("Tag"))
}

/// One page of the tags whose name fits a search, and how many there are.
pub async fn list(
    ctx: &Ctx,
    access: &Access,
    search: Option<&str>,
    order: RefOrder,
    at: refs::At<'_>,
    page: Page,
) -> Result<(Vec<TagDetails>, u64)> {
    let repository = commits::repository(ctx, &access.project);
    let token = |name: &str| TagName::new(name).ok().map(|name| name.to_ref());
    let Some(range) = refs::range(&repository, search, order, at, page, token).await? else {
        return Ok((Vec::new(), 0));
    };
    let listing = repository.tags(search, order, range).await?;
    Ok((details(ctx, access, listing.items).await?, listing.total as u64))
}

async fn details(ctx: &Ctx, access: &Access, tags: Vec<Tag>) -> Result<Vec<TagDetails>> {
    let project = access.project.clone();
    let names: Vec<_> = tags.iter().map(|tag| tag.name.to_ref()).collect();
    let protections = ctx.db.read(move |tx| protection::of_refs(tx, &project, &names)).await?;
    let all = tags.into_iter().zip(protections);
    Ok(all.map(|(tag, protection)| TagDetails { tag, protected: protection.is_some() }).collect())
}

/// Creates a tag at a branch, tag or commit; annotated if there is a message.
///
/// # Errors
/// 400 in GitLab's words.
pub async fn create(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    name: &str,
    target: &str,
    message: Option<&str>,
) -> Result<TagDetails> {
    demand_writable(access)?;
    let repository = commits::ensured(ctx, &access.project).await?;
    let tag = TagName::new(name).map_err(|invalid| Error::Invalid(invalid.to_string().into()))?;
    let tagger = Signature::new(&user.name, &user.email, ctx.now());
    let annotation = message.filter(|text| !text.trim().is_empty()).map(|text| (text, &tagger));
    let update = repository.prepare_tag(&tag, target, annotation).await?;
    pushes::by_api(ctx, access, user, &update).await?;
    find(ctx, access, name).await
}

/// Deletes a tag.
///
/// # Errors
/// 403 if it is protected and the caller no Maintainer; 412 if its commit is newer than `unmodified_since`.
pub async fn delete(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    name: &str,
    unmodified_since: Option<Timestamp>,
) -> Result<()> {
    demand_writable(access)?;
    let TagDetails { tag, protected } = find(ctx, access, name).await?;
    if protected && access.standing.level < AccessLevel::Maintainer {
        return Err(Error::Forbidden(None));
    }
    let authored = tag.commit.map(|commit| commit.author.timestamp());
    if unmodified_since.is_some_and(|since| authored.is_some_and(|authored| authored > since)) {
        return Err(Error::PreconditionFailed);
    }
    let update = RefUpdate { old: tag.target, new: ObjectId::zero(), name: tag.name.to_ref() };
    pushes::by_api(ctx, access, user, &update).await
}
