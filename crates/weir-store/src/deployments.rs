//! Deployments, as rows.

use weir_api::Timestamp;
use weir_api::environments::DeploymentStatus;
use weir_api::id::{DeploymentId, EnvironmentId, JobId, PipelineId, ProjectId, UserId};

use crate::columns::{Columns, all};
use crate::filter::Conditions;
use crate::{Page, Result, Row, Sort, Tx, params};

/// A deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// Its project.
    pub project_id: ProjectId,
    /// Where to.
    pub environment_id: EnvironmentId,
    /// Its number in the project, from 1.
    pub iid: i64,
    /// The short name of the branch or tag.
    pub ref_name: String,
    /// Whether the ref is a tag.
    pub tag: bool,
    /// The commit.
    pub sha: String,
    /// Its status.
    pub status: DeploymentStatus,
    /// Who deploys.
    pub user_id: Option<UserId>,
    /// The job that deploys; none for what was reported.
    pub job_id: Option<JobId>,
    /// The job of the same pipeline that stops the environment.
    pub on_stop: Option<String>,
    /// The environment's URL with the variables that were known when the job started.
    pub url: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its last change.
    pub updated_at: Timestamp,
    /// When it succeeded, failed or was canceled.
    pub finished_at: Option<Timestamp>,
}

const COLUMNS: &str = "d.id, d.project_id, d.environment_id, d.iid, d.ref, d.tag, d.sha, d.status, d.user_id, \
     d.job_id, d.on_stop, d.url, d.created_at, d.updated_at, d.finished_at";

fn read(row: &Row) -> Result<Deployment> {
    let mut c = Columns::of(row);
    Ok(Deployment {
        id: c.next()?,
        project_id: c.next()?,
        environment_id: c.next()?,
        iid: c.next()?,
        ref_name: c.next()?,
        tag: c.next()?,
        sha: c.next()?,
        status: c.next()?,
        user_id: c.next()?,
        job_id: c.next()?,
        on_stop: c.next()?,
        url: c.next()?,
        created_at: c.next()?,
        updated_at: c.next()?,
        finished_at: c.next()?,
    })
}

/// Which deployments to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only to the environment of this name.
    pub environment: Option<String>,
    /// Only with this status.
    pub status: Option<DeploymentStatus>,
    /// Only those changed at or after it.
    pub updated_after: Option<Timestamp>,
    /// Only those changed at or before it.
    pub updated_before: Option<Timestamp>,
    /// Only those that ended at or after it.
    pub finished_after: Option<Timestamp>,
    /// Only those that ended before it.
    pub finished_before: Option<Timestamp>,
    /// The order.
    pub order_by: OrderBy,
    /// Its direction.
    pub sort: Sort,
}

/// The order of a list of deployments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OrderBy {
    /// By id, which is the order of creation.
    #[default]
    Id,
    /// By last change.
    UpdatedAt,
    /// By end.
    FinishedAt,
    /// By ref.
    Ref,
}

fn conditions<'f>(project_id: &'f ProjectId, filter: &'f Filter) -> Conditions<'f> {
    let mut c = Conditions::default();
    c.with("d.project_id = $?", project_id);
    c.maybe(
        "d.environment_id IN (SELECT e.id FROM environments e WHERE e.project_id = d.project_id AND e.name = $?)",
        filter.environment.as_ref(),
    );
    c.maybe("d.status = $?", filter.status.as_ref());
    c.maybe("d.updated_at >= $?", filter.updated_after.as_ref());
    c.maybe("d.updated_at <= $?", filter.updated_before.as_ref());
    c.maybe("d.finished_at >= $?", filter.finished_after.as_ref());
    c.maybe("d.finished_at < $?", filter.finished_before.as_ref());
    c
}

/// Deployments of a project.
pub fn list(tx: &mut Tx<'_>, project_id: ProjectId, filter: &Filter, page: Page) -> Result<Vec<Deployment>> {
    let mut c = conditions(&project_id, filter);
    let sort = filter.sort.sql();
    let order = match filter.order_by {
        OrderBy::Id => format!("d.id {sort}"),
        OrderBy::UpdatedAt => format!("d.updated_at {sort}, d.id DESC"),
        // NULL stands elsewhere on each engine.
        OrderBy::FinishedAt => format!("coalesce(d.finished_at, 0) {sort}, d.id {sort}"),
        OrderBy::Ref => format!("d.ref {sort}, d.id {sort}"),
    };
    let (limit, offset) = (c.param(&page.limit), c.param(&page.offset));
    let sql = format!(
        "SELECT {COLUMNS} FROM deployments d{} ORDER BY {order} LIMIT {limit} OFFSET {offset}",
        c.sql()
    );
    all(&tx.query(&sql, &c.params())?, read)
}

/// How many deployments [`list`] has.
pub fn count(tx: &mut Tx<'_>, project_id: ProjectId, filter: &Filter) -> Result<i64> {
    let c = conditions(&project_id, filter);
    tx.query_one(&format!("SELECT count(*) FROM deployments d{}", c.sql()), &c.params())?.get(0)
}

/// The deployment with an id.
pub fn find(tx: &mut Tx<'_>, id: DeploymentId) -> Result<Option<Deployment>> {
    let sql = format!("SELECT {COLUMNS} FROM deployments d WHERE d.id = $1");
    tx.query_opt(&sql, params![id])?.as_ref().map(read).transpose()
}

/// The deployment of a job.
pub fn of_job(tx: &mut Tx<'_>, id: JobId) -> Result<Option<Deployment>> {
    let sql = format!("SELECT {COLUMNS} FROM deployments d WHERE d.job_id = $1");
    tx.query_opt(&sql, params![id])?.as_ref().map(read).transpose()
}

/// What was last deployed to an environment: its newest success.
pub fn last_success(tx: &mut Tx<'_>, environment: EnvironmentId) -> Result<Option<Deployment>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM deployments d WHERE d.environment_id = $1 AND d.status = 'success'
         ORDER BY d.finished_at DESC, d.id DESC LIMIT 1"
    );
    tx.query_opt(&sql, params![environment])?.as_ref().map(read).transpose()
}

/// A deployment to be.
#[derive(Debug, Clone)]
pub struct NewDeployment {
    /// Its project.
    pub project_id: ProjectId,
    /// Where to.
    pub environment_id: EnvironmentId,
    /// The short name of the branch or tag.
    pub ref_name: String,
    /// Whether the ref is a tag.
    pub tag: bool,
    /// The commit.
    pub sha: String,
    /// Who deploys.
    pub user_id: Option<UserId>,
    /// The job that deploys.
    pub job_id: Option<JobId>,
    /// The job of the same pipeline that stops the environment.
    pub on_stop: Option<String>,
}

/// Makes a deployment, with the status `created`.
pub fn insert(tx: &mut Tx<'_>, new: &NewDeployment, now: Timestamp) -> Result<Deployment> {
    let iid: i64 = tx.insert(
        "UPDATE projects SET last_deployment_iid = last_deployment_iid + 1 WHERE id = $1
         RETURNING last_deployment_iid",
        params![new.project_id],
    )?;
    let status = DeploymentStatus::Created;
    let id = tx.insert(
        "INSERT INTO deployments (project_id, environment_id, iid, ref, tag, sha, status, user_id, job_id,
             on_stop, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) RETURNING id",
        params![
            new.project_id,
            new.environment_id,
            iid,
            new.ref_name,
            new.tag,
            new.sha,
            status,
            new.user_id,
            new.job_id,
            new.on_stop,
            now
        ],
    )?;
    Ok(Deployment {
        id,
        project_id: new.project_id,
        environment_id: new.environment_id,
        iid,
        ref_name: new.ref_name.clone(),
        tag: new.tag,
        sha: new.sha.clone(),
        status,
        user_id: new.user_id,
        job_id: new.job_id,
        on_stop: new.on_stop.clone(),
        url: None,
        created_at: now,
        updated_at: now,
        finished_at: None,
    })
}

/// Writes a deployment's status.
pub fn set_status(
    tx: &mut Tx<'_>,
    id: DeploymentId,
    status: DeploymentStatus,
    finished_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE deployments SET status = $2, finished_at = $3, updated_at = $4 WHERE id = $1",
        params![id, status, finished_at, now],
    )?;
    Ok(())
}

/// Notes the URL of what a job deploys.
pub fn set_url(tx: &mut Tx<'_>, job: JobId, url: &str) -> Result<()> {
    tx.execute("UPDATE deployments SET url = $2 WHERE job_id = $1", params![job, url])?;
    Ok(())
}

/// Sets who deploys: whoever retries jobs.
pub fn set_user(tx: &mut Tx<'_>, jobs: &[JobId], user: UserId) -> Result<()> {
    for job in jobs {
        tx.execute("UPDATE deployments SET user_id = $2 WHERE job_id = $1", params![job, user])?;
    }
    Ok(())
}

/// Deletes a deployment; `false` if there is none.
pub fn delete(tx: &mut Tx<'_>, id: DeploymentId) -> Result<bool> {
    Ok(tx.execute("DELETE FROM deployments WHERE id = $1", params![id])? == 1)
}

/// The pipeline that last deployed to an environment, whatever came of it.
pub fn last_finished_pipeline(tx: &mut Tx<'_>, environment: EnvironmentId) -> Result<Option<PipelineId>> {
    let sql = "SELECT j.pipeline_id FROM deployments d LEFT JOIN jobs j ON j.id = d.job_id
               WHERE d.environment_id = $1 AND d.status IN ('success', 'failed', 'canceled')
               ORDER BY d.finished_at DESC, d.id DESC LIMIT 1";
    Ok(match tx.query_opt(sql, params![environment])? {
        Some(row) => row.get(0)?,
        None => None,
    })
}

/// The names of the jobs that stop what the finished jobs of a pipeline have deployed to an environment, each once.
/// Source: `Deployment.last_finished_deployment_group_for_environment`.
pub fn stop_jobs(tx: &mut Tx<'_>, environment: EnvironmentId, pipeline: PipelineId) -> Result<Vec<String>> {
    let rows = tx.query(
        "SELECT DISTINCT d.on_stop FROM deployments d JOIN jobs j ON j.id = d.job_id
         WHERE d.environment_id = $1 AND d.on_stop IS NOT NULL AND j.pipeline_id = $2 AND NOT j.retried
           AND j.status IN ('success', 'failed', 'canceled') AND j.name <> d.on_stop
         ORDER BY d.on_stop",
        params![environment, pipeline],
    )?;
    all(&rows, |row| row.get(0))
}
