//! From a caller and a name in a URL to a record that the caller may use.

use weir_api::id::{NamespaceId, ProjectId};
use weir_api::{AccessLevel, Timestamp};
use weir_store::members::{self, Source};
use weir_store::namespaces::Namespace;
use weir_store::projects::Project;
use weir_store::users::User;
use weir_store::{Tx, groups, projects};

use crate::auth::{Action, Caller, Standing};
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// A project that the caller may do something with, and how the caller stands to it.
#[derive(Debug, Clone)]
pub struct Access {
    /// The project.
    pub project: Project,
    /// The caller's standing.
    pub standing: Standing,
}

/// Finds a project by id or full path and demands that the caller may do `action` there.
///
/// # Errors
/// 401, 404 or 403, in this order.
pub async fn project(ctx: &Ctx, caller: &Caller, id_or_path: &str, action: Action) -> Result<Access> {
    let (user, now, name) = (caller.user().cloned(), ctx.now(), id_or_path.to_owned());
    let found = ctx.db.read(move |tx| find_project(tx, user.as_ref(), &name, now)).await?;
    let Some(access) = found else {
        // Whoever must sign in for this anyway is not told whether the project exists.
        return Err(if caller.user().is_none() && action.needs_sign_in() {
            Error::Unauthorized
        } else {
            Error::NotFound("Project")
        });
    };
    // A job reaches its own project only; others once their allowlists exist.
    if let Caller::Job { job, .. } = caller
        && job.project_id != access.project.id
    {
        return Err(Error::NotFound("Project"));
    }
    access.standing.demand(action)?;
    Ok(access)
}

/// Finds a project and the user's standing to it.
pub fn find_project(
    tx: &mut Tx<'_>,
    user: Option<&User>,
    id_or_path: &str,
    now: Timestamp,
) -> Result<Option<Access>> {
    let project = match id_or_path.parse::<ProjectId>() {
        Ok(id) => projects::find(tx, id)?,
        Err(_) if id_or_path.contains('/') => projects::find_by_path(tx, id_or_path)?,
        Err(_) => None,
    };
    let Some(project) = project.filter(|project| !project.deleting) else { return Ok(None) };
    let standing = standing(tx, user, &project, now)?;
    Ok(Some(Access { project, standing }))
}

/// How a user stands to a project.
pub fn standing(tx: &mut Tx<'_>, user: Option<&User>, project: &Project, now: Timestamp) -> Result<Standing> {
    Ok(Standing {
        signed_in: user.is_some(),
        level: level(tx, user, Source::Project(project.id), now)?,
        visibility: project.visibility,
        public_pipelines: project.public_jobs,
    })
}

/// A user's level in a project or group; administrators have the highest everywhere.
pub fn level(tx: &mut Tx<'_>, user: Option<&User>, source: Source, now: Timestamp) -> Result<AccessLevel> {
    match user {
        None => Ok(AccessLevel::NoAccess),
        Some(user) if user.admin => Ok(AccessLevel::Admin),
        Some(user) => Ok(members::access_level(tx, source, user.id, now)?),
    }
}

/// Finds a group by id or full path that the caller may see, with the caller's level in it, and demands at
/// least `minimum`.
///
/// # Errors
/// 401 for a change by nobody, 404 for a group that is hidden from the caller, 403 for one that is not.
pub async fn group(
    ctx: &Ctx,
    caller: &Caller,
    id_or_path: &str,
    minimum: AccessLevel,
) -> Result<(Namespace, AccessLevel)> {
    let (user, now, name) = (caller.user().cloned(), ctx.now(), id_or_path.to_owned());
    if user.is_none() && minimum > AccessLevel::NoAccess {
        return Err(Error::Unauthorized);
    }
    let signed_in = user.is_some();
    let found: Option<(Namespace, AccessLevel)> = ctx
        .db
        .read(move |tx| -> Result<_> {
            let group = match name.parse::<NamespaceId>() {
                Ok(id) => groups::find(tx, id)?,
                Err(_) => groups::find_by_path(tx, &name)?,
            };
            let Some(group) = group else { return Ok(None) };
            let level = level(tx, user.as_ref(), Source::Group(group.id), now)?;
            Ok(Some((group, level)))
        })
        .await?;
    let Some((group, level)) = found else { return Err(Error::NotFound("Group")) };
    let visible = level >= AccessLevel::Guest
        || match group.visibility {
            weir_api::Visibility::Public => true,
            weir_api::Visibility::Internal => signed_in,
            weir_api::Visibility::Private => false,
        };
    if !visible {
        return Err(Error::NotFound("Group"));
    }
    if level < minimum {
        return Err(Error::Forbidden(None));
    }
    Ok((group, level))
}
