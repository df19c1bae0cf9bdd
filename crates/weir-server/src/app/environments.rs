//! Environments: found, made, changed, stopped, deleted.

mod lifecycle;
mod stop;

pub use lifecycle::{begin, fail, fail_outdated, follow, is_outdated, set_status, unset};
pub use stop::{stop, stop_of_branch, stop_stale, sweep};
use weir_api::Timestamp;
use weir_api::environments::{AutoStopSetting, EnvironmentState, EnvironmentTier};
use weir_api::id::{EnvironmentId, ProjectId};
use weir_engine::environment as rules;
use weir_store::Tx;
use weir_store::deployments;
use weir_store::environments::{self, Environment, Filter};

use super::access::Access;
use super::deployments::{DeploymentDetails, details};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

/// Seconds until an environment that is to be deleted is.
const DELETED_AFTER: i64 = 7 * 24 * 3600;
/// Characters of a description. Source: `app/models/environment.rb`.
const MAX_DESCRIPTION: usize = 10_000;

/// The row of an environment of a project.
pub fn row(tx: &mut Tx<'_>, project: ProjectId, id: EnvironmentId) -> Result<Environment> {
    environments::find(tx, id)?.filter(|it| it.project_id == project).ok_or(Error::RecordNotFound)
}

/// One page of the environments of a project, and how many there are.
pub async fn list(ctx: &Ctx, access: &Access, filter: Filter, page: Page) -> Result<(Vec<Environment>, u64)> {
    let project = access.project.id;
    Ok(ctx
        .db
        .read(move |tx| {
            let total = environments::count(tx, project, &filter)?.unsigned_abs();
            Ok::<_, weir_store::Error>((environments::list(tx, project, &filter, page.rows())?, total))
        })
        .await?)
}

/// One environment.
pub async fn find(ctx: &Ctx, access: &Access, id: EnvironmentId) -> Result<Environment> {
    let project = access.project.id;
    ctx.db.read(move |tx| row(tx, project, id)).await
}

/// What was last deployed to an environment.
pub async fn last_deployment(
    ctx: &Ctx,
    access: &Access,
    id: EnvironmentId,
) -> Result<Option<DeploymentDetails>> {
    let last = ctx.db.read(move |tx| deployments::last_success(tx, id)).await?;
    Ok(details(ctx, &access.project, last.into_iter().collect()).await?.pop())
}

/// What is set of an environment; outer `None` leaves it alone.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Where to see it.
    pub external_url: Option<Option<String>>,
    /// What it is, in words.
    pub description: Option<Option<String>>,
    /// What it is for.
    pub tier: Option<EnvironmentTier>,
    /// What stops it.
    pub auto_stop_setting: Option<AutoStopSetting>,
}

impl Change {
    fn check(&self) -> Result<()> {
        if let Some(Some(url)) = &self.external_url {
            rules::check_url(url).map_err(|message| Error::field("external_url", message))?;
        }
        let description = self.description.iter().flatten();
        if description.map(|text| text.chars().count()).any(|chars| chars > MAX_DESCRIPTION) {
            let message = format!("is too long (maximum is {MAX_DESCRIPTION} characters)");
            return Err(Error::field("description", message));
        }
        Ok(())
    }

    fn apply(&self, environment: &mut Environment) {
        let text = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        if let Some(url) = &self.external_url {
            environment.external_url = text(url);
        }
        if let Some(description) = &self.description {
            environment.description = text(description);
        }
        environment.tier = self.tier.unwrap_or(environment.tier);
        environment.auto_stop_setting = self.auto_stop_setting.unwrap_or(environment.auto_stop_setting);
    }
}

/// Makes an environment.
///
/// # Errors
/// 400 in GitLab's words.
pub async fn create(ctx: &Ctx, access: &Access, name: &str, change: Change) -> Result<Environment> {
    rules::check_name(name).map_err(|message| Error::field("name", message))?;
    change.check()?;
    let (new, now) = (unset(access.project.id, name), ctx.now());
    ctx.db
        .write(move |tx| {
            let taken = |field: &str| Error::field(field, "has already been taken");
            if environments::named(tx, new.project_id, &new.name)?.is_some() {
                return Err(taken("name"));
            }
            let mut made = environments::insert(tx, &new, now)?.ok_or_else(|| taken("slug"))?;
            change.apply(&mut made);
            environments::update(tx, &made)?;
            Ok(made)
        })
        .await
}

/// Changes an environment.
///
/// # Errors
/// 400 in GitLab's words.
pub async fn update(ctx: &Ctx, access: &Access, id: EnvironmentId, change: Change) -> Result<Environment> {
    change.check()?;
    let (project, now) = (access.project.id, ctx.now());
    ctx.db
        .write(move |tx| {
            row(tx, project, id)?;
            let before = environments::lock(tx, id)?.ok_or(Error::RecordNotFound)?;
            let mut after = before.clone();
            change.apply(&mut after);
            if after != before {
                after.updated_at = now;
                environments::update(tx, &after)?;
            }
            Ok(after)
        })
        .await
}

/// Deletes a stopped environment.
///
/// # Errors
/// 403 unless it is stopped; 412 if it changed after `unmodified_since`.
pub async fn delete(
    ctx: &Ctx,
    access: &Access,
    id: EnvironmentId,
    unmodified_since: Option<Timestamp>,
) -> Result<()> {
    let project = access.project.id;
    ctx.db
        .write(move |tx| {
            let found = row(tx, project, id)?;
            if found.state != EnvironmentState::Stopped {
                return Err(Error::Forbidden(None));
            }
            if unmodified_since.is_some_and(|since| found.updated_at > since) {
                return Err(Error::PreconditionFailed);
            }
            environments::delete(tx, id)?;
            Ok(())
        })
        .await
}

/// The stopped review apps made before `before`, which are deleted in a week unless this is a rehearsal.
/// Source: `app/services/environments/schedule_to_delete_review_apps_service.rb`.
pub async fn delete_review_apps(
    ctx: &Ctx,
    access: &Access,
    before: Timestamp,
    limit: i64,
    dry_run: bool,
) -> Result<Vec<Environment>> {
    let project = access.project.id;
    let due = ctx.now().plus_secs(DELETED_AFTER);
    let look = move |tx: &mut Tx<'_>| environments::stopped_review_apps(tx, project, before, limit);
    if dry_run {
        return Ok(ctx.db.read(look).await?);
    }
    Ok(ctx
        .db
        .write(move |tx| {
            let found = look(tx)?;
            for environment in &found {
                let marked = Environment { auto_delete_at: Some(due), ..environment.clone() };
                environments::update(tx, &marked)?;
            }
            Ok::<_, weir_store::Error>(found)
        })
        .await?)
}
