//! Members of groups and projects.

use weir_api::id::UserId;
use weir_api::{AccessLevel, Timestamp};
use weir_store::members::{self, Filter, Member, Source};
use weir_store::users::{self, User};
use weir_store::{Page as Rows, Tx, namespaces, projects};

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

/// A member and who made them one.
#[derive(Debug, Clone)]
pub struct View {
    /// The member.
    pub member: Member,
    /// Who made the membership.
    pub created_by: Option<User>,
}

/// One page of members, and how many there are.
pub async fn list(ctx: &Ctx, source: Source, filter: Filter, page: Page) -> Result<(Vec<View>, u64)> {
    ctx.db
        .read(move |tx| {
            let found = members::list(tx, source, &filter, page.rows())?;
            let total = members::count(tx, source, &filter)?.unsigned_abs();
            Ok((views(tx, found)?, total))
        })
        .await
}

/// One member.
///
/// # Errors
/// 404.
pub async fn find(ctx: &Ctx, source: Source, user_id: UserId, inherited: bool) -> Result<View> {
    ctx.db.read(move |tx| view(tx, source, user_id, inherited)).await
}

/// What is asked for with a new or changed membership.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The level.
    pub access_level: AccessLevel,
    /// The first day on which it no longer counts.
    pub expires_on: Option<String>,
}

/// Makes a user a member.
///
/// # Errors
/// 403 for a level above the caller's own, 404 if there is no such user, 409 if the user is a member, 400 for a level
/// below the one inherited.
pub async fn create(
    ctx: &Ctx,
    source: Source,
    caller: (UserId, AccessLevel),
    user_id: UserId,
    wanted: Wanted,
) -> Result<View> {
    let now = ctx.now();
    ctx.db
        .write(move |tx| {
            users::find(tx, user_id)?.ok_or(Error::NotFound("User"))?;
            if own(tx, source, user_id)?.is_some() {
                return Err(Error::Conflict("Member already exists".to_owned()));
            }
            check(tx, source, caller.1, user_id, &wanted, now)?;
            let day = wanted.expires_on.as_deref();
            members::insert(tx, source, user_id, wanted.access_level, day, Some(caller.0), now)?;
            view(tx, source, user_id, false)
        })
        .await
}

/// Changes a membership. An expiry that is not asked for stays.
///
/// # Errors
/// 403 for a level above the caller's own, of a member above the caller, or for the last owner; 404; 400 for a level
/// below the one inherited.
pub async fn update(
    ctx: &Ctx,
    source: Source,
    caller: AccessLevel,
    user_id: UserId,
    wanted: Wanted,
    keep_expiry: bool,
) -> Result<View> {
    let now = ctx.now();
    ctx.db
        .write(move |tx| {
            let member = own(tx, source, user_id)?.ok_or(Error::RecordNotFound)?;
            if member.access_level > caller
                || (wanted.access_level < AccessLevel::Owner && is_needed(tx, source, &member)?)
            {
                return Err(Error::Forbidden(None));
            }
            check(tx, source, caller, user_id, &wanted, now)?;
            let day = if keep_expiry { member.expires_on.as_deref() } else { wanted.expires_on.as_deref() };
            members::update(tx, source, user_id, wanted.access_level, day)?;
            view(tx, source, user_id, false)
        })
        .await
}

/// Ends a membership. Whoever may not manage members may end their own.
///
/// # Errors
/// 404; 403 for a member above the caller, or the last owner.
pub async fn delete(
    ctx: &Ctx,
    source: Source,
    caller: (UserId, AccessLevel),
    manages: bool,
    user_id: UserId,
) -> Result<()> {
    ctx.db
        .write(move |tx| {
            if !manages && caller.0 != user_id {
                return Err(Error::Forbidden(None));
            }
            let member = own(tx, source, user_id)?.ok_or(Error::RecordNotFound)?;
            if member.access_level > caller.1 || is_needed(tx, source, &member)? {
                return Err(Error::Forbidden(None));
            }
            members::delete(tx, source, user_id)?;
            Ok(())
        })
        .await
}

/// The user's membership of the group or project itself.
fn own(tx: &mut Tx<'_>, source: Source, user_id: UserId) -> Result<Option<Member>> {
    let filter = Filter { user_id: Some(user_id), ..Filter::default() };
    Ok(members::list(tx, source, &filter, Rows::first(1))?.into_iter().next())
}

fn view(tx: &mut Tx<'_>, source: Source, user_id: UserId, inherited: bool) -> Result<View> {
    let filter = Filter { user_id: Some(user_id), inherited, ..Filter::default() };
    let found = members::list(tx, source, &filter, Rows::first(1))?;
    views(tx, found)?.into_iter().next().ok_or(Error::RecordNotFound)
}

fn views(tx: &mut Tx<'_>, found: Vec<Member>) -> Result<Vec<View>> {
    let mut ids: Vec<UserId> = found.iter().filter_map(|member| member.created_by).collect();
    ids.sort_unstable();
    ids.dedup();
    let creators = users::find_all(tx, &ids)?;
    let view = |member: Member| {
        let created_by = creators.iter().find(|user| Some(user.id) == member.created_by).cloned();
        View { member, created_by }
    };
    Ok(found.into_iter().map(view).collect())
}

/// Nobody gives more than they have, or less than the member has from above.
/// Source: `app/models/member.rb`, `app/services/members/base_service.rb`.
fn check(
    tx: &mut Tx<'_>,
    source: Source,
    caller: AccessLevel,
    user_id: UserId,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<()> {
    if wanted.access_level > caller {
        return Err(Error::Forbidden(None));
    }
    match members::from_above(tx, source, user_id, now)? {
        Some((level, group)) if level > wanted.access_level => {
            let complaint = format!(
                "should be greater than or equal to {} inherited membership from group {group}",
                human(level)
            );
            Err(Error::field("access_level", complaint))
        }
        _ => Ok(()),
    }
}

/// Whether a group would be left without an owner, or a user's project without its user.
fn is_needed(tx: &mut Tx<'_>, source: Source, member: &Member) -> Result<bool> {
    match source {
        Source::Group(id) => {
            Ok(member.access_level >= AccessLevel::Owner && members::count_owners(tx, id)? <= 1)
        }
        Source::Project(id) => {
            let project = projects::find(tx, id)?;
            let namespace = project.map(|it| namespaces::find(tx, it.namespace_id)).transpose()?.flatten();
            Ok(namespace.is_some_and(|it| it.owner_id == Some(member.user.id)))
        }
    }
}

/// A level's name. Source: `lib/gitlab/access.rb`.
pub fn human(level: AccessLevel) -> &'static str {
    match level {
        AccessLevel::NoAccess => "No access",
        AccessLevel::Minimal => "Minimal Access",
        AccessLevel::Guest => "Guest",
        AccessLevel::Planner => "Planner",
        AccessLevel::Reporter => "Reporter",
        AccessLevel::Developer => "Developer",
        AccessLevel::Maintainer => "Maintainer",
        AccessLevel::Owner => "Owner",
        AccessLevel::Admin => "Administrator",
    }
}
