//! Deployments: found, reported, changed, deleted.

use weir_api::environments::DeploymentStatus;
use weir_api::id::{DeploymentId, EnvironmentId, JobId, ProjectId};
use weir_store::deployments::{self, Deployment, Filter, NewDeployment};
use weir_store::environments::{self, Environment};
use weir_store::projects::Project;
use weir_store::users::{self, User};
use weir_store::{Tx, jobs};

use super::access::Access;
use super::environments::{set_status, unset};
use super::jobs::JobDetails;
use super::{commits, jobs as job_details};
use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

/// A deployment with what belongs to it.
#[derive(Debug, Clone)]
pub struct DeploymentDetails {
    /// The deployment.
    pub deployment: Deployment,
    /// Where to.
    pub environment: Environment,
    /// Who deploys.
    pub user: Option<User>,
    /// The job that deploys.
    pub job: Option<JobDetails>,
}

/// The row of a deployment of a project.
pub fn row(tx: &mut Tx<'_>, project: ProjectId, id: DeploymentId) -> Result<Deployment> {
    deployments::find(tx, id)?.filter(|it| it.project_id == project).ok_or(Error::RecordNotFound)
}

/// Gathers what belongs to rows, with one query for each kind.
pub async fn details(ctx: &Ctx, project: &Project, rows: Vec<Deployment>) -> Result<Vec<DeploymentDetails>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let (rows, environments, users, jobs) = ctx
        .db
        .read(move |tx| {
            let mut environments: Vec<EnvironmentId> = rows.iter().map(|row| row.environment_id).collect();
            environments.sort_unstable();
            environments.dedup();
            let mut users: Vec<_> = rows.iter().filter_map(|row| row.user_id).collect();
            users.sort_unstable();
            users.dedup();
            let jobs: Vec<JobId> = rows.iter().filter_map(|row| row.job_id).collect();
            let environments = environments::find_all(tx, &environments)?;
            let (users, jobs) = (users::find_all(tx, &users)?, jobs::find_all(tx, &jobs)?);
            Ok::<_, Error>((rows, environments, users, jobs))
        })
        .await?;
    let jobs = job_details::details(ctx, project, jobs).await?;
    rows.into_iter()
        .map(|deployment| {
            let environment = environments.iter().find(|it| it.id == deployment.environment_id).cloned();
            Ok(DeploymentDetails {
                environment: environment.ok_or(Error::RecordNotFound)?,
                user: users.iter().find(|it| Some(it.id) == deployment.user_id).cloned(),
                job: jobs.iter().find(|it| Some(it.job.id) == deployment.job_id).cloned(),
                deployment,
            })
        })
        .collect()
}

async fn one(ctx: &Ctx, access: &Access, row: Deployment) -> Result<DeploymentDetails> {
    details(ctx, &access.project, vec![row]).await?.pop().ok_or(Error::RecordNotFound)
}

/// One page of the deployments of a project, and how many there are.
pub async fn list(
    ctx: &Ctx,
    access: &Access,
    filter: Filter,
    page: Page,
) -> Result<(Vec<DeploymentDetails>, u64)> {
    let project = access.project.id;
    let (rows, total) = ctx
        .db
        .read(move |tx| {
            let total = deployments::count(tx, project, &filter)?.unsigned_abs();
            Ok::<_, weir_store::Error>((deployments::list(tx, project, &filter, page.rows())?, total))
        })
        .await?;
    Ok((details(ctx, &access.project, rows).await?, total))
}

/// One deployment.
pub async fn find(ctx: &Ctx, access: &Access, id: DeploymentId) -> Result<DeploymentDetails> {
    let project = access.project.id;
    let found = ctx.db.read(move |tx| row(tx, project, id)).await?;
    one(ctx, access, found).await
}

/// A deployment that is reported.
#[derive(Debug, Clone)]
pub struct Reported {
    /// The name of the environment, which is made if there is none.
    pub environment: String,
    /// The commit.
    pub sha: String,
    /// The branch or tag.
    pub ref_name: String,
    /// Whether the ref is a tag.
    pub tag: bool,
    /// How far it is.
    pub status: DeploymentStatus,
}

/// Reports a deployment that no job has made. What is there already is reported once.
/// Source: `app/services/deployments/create_service.rb`.
///
/// # Errors
/// 400 in GitLab's words.
pub async fn create(ctx: &Ctx, access: &Access, user: &User, new: Reported) -> Result<DeploymentDetails> {
    weir_engine::environment::check_name(&new.environment)
        .map_err(|message| Error::field("name", message))?;
    let repository = commits::repository(ctx, &access.project);
    let mut wrong = serde_json::Map::new();
    for (field, revision, message) in [
        ("sha", &new.sha, "The commit does not exist"),
        ("ref", &new.ref_name, "The branch or tag does not exist"),
    ] {
        let found = match repository.resolve(revision).await {
            Ok(found) => found.is_some(),
            Err(weir_git::Error::NoRepository) => false,
            Err(error) => return Err(error.into()),
        };
        if !found {
            wrong.insert(field.to_owned(), serde_json::json!([message]));
        }
    }
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong.into()));
    }
    let (project, user, now, shared) = (access.project.id, user.id, ctx.now(), ctx.clone());
    let made = ctx
        .db
        .write(move |tx| {
            let environment = match environments::named(tx, project, &new.environment)? {
                Some(found) => found,
                None => environments::insert(tx, &unset(project, &new.environment), now)?
                    .ok_or_else(|| Error::field("slug", "has already been taken"))?,
            };
            if let Some(last) = deployments::last_success(tx, environment.id)?
                && (&last.sha, &last.ref_name, last.tag, last.status)
                    == (&new.sha, &new.ref_name, new.tag, new.status)
            {
                return Ok(last);
            }
            let made = NewDeployment {
                project_id: project,
                environment_id: environment.id,
                ref_name: new.ref_name.clone(),
                tag: new.tag,
                sha: new.sha.clone(),
                user_id: Some(user),
                job_id: None,
                on_stop: None,
            };
            let made = deployments::insert(tx, &made, now)?;
            set_status(tx, &shared, &made, new.status, now)?;
            row(tx, project, made.id)
        })
        .await?;
    ctx.bus.wake(Wake::Environment);
    ctx.bus.wake(Wake::Webhooks);
    one(ctx, access, made).await
}

/// Says how far a reported deployment is.
///
/// # Errors
/// 403 if a job has made it; 400 if it cannot come to this status.
pub async fn update(
    ctx: &Ctx,
    access: &Access,
    id: DeploymentId,
    status: DeploymentStatus,
) -> Result<DeploymentDetails> {
    let (project, now, shared) = (access.project.id, ctx.now(), ctx.clone());
    let changed = ctx
        .db
        .write(move |tx| {
            let found = row(tx, project, id)?;
            if found.job_id.is_some() {
                return Err(Error::forbidden(
                    "Deployments created using GitLab CI can not be updated using the API",
                ));
            }
            if !set_status(tx, &shared, &found, status, now)? {
                let word = match status {
                    DeploymentStatus::Running => "run",
                    DeploymentStatus::Success => "succeed",
                    DeploymentStatus::Failed => "drop",
                    _ => "cancel",
                };
                let message = format!("cannot transition via \"{word}\"");
                return Err(Error::field("status", message));
            }
            row(tx, project, id)
        })
        .await?;
    ctx.bus.wake(Wake::Environment);
    ctx.bus.wake(Wake::Webhooks);
    one(ctx, access, changed).await
}

/// Deletes a deployment.
///
/// # Errors
/// 400 if it runs or is what its environment has.
pub async fn delete(ctx: &Ctx, access: &Access, id: DeploymentId) -> Result<()> {
    let project = access.project.id;
    ctx.db
        .write(move |tx| {
            let found = row(tx, project, id)?;
            if found.status == DeploymentStatus::Running {
                return Err(Error::Invalid("Cannot destroy running deployment".into()));
            }
            if deployments::last_success(tx, found.environment_id)?.is_some_and(|last| last.id == id) {
                return Err(Error::Invalid("Deployment currently deployed to environment".into()));
            }
            deployments::delete(tx, id)?;
            Ok(())
        })
        .await
}
