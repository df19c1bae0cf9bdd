//! Resource groups: of a group's jobs, in all pipelines of the project, one runs at a time.
//!
//! A group is made with the first pipeline that has a job of it. Whoever gives the resource has the job's pipeline
//! locked, so the order of locks is pipeline, then group.

use std::collections::BTreeMap;

use weir_api::id::{JobId, ProjectId, ResourceGroupId};
use weir_api::{JobStatus, ProcessMode, Timestamp};
use weir_engine::PipelineState;
use weir_engine::resource_group::Candidate;

use crate::columns::{Columns, all};
use crate::{Error, Page, Result, Row, Sort, Tx, Value, bulk, params, projects};

/// A resource group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceGroup {
    /// Its id.
    pub id: ResourceGroupId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its name.
    pub key: String,
    /// In which order its jobs get the resource.
    pub process_mode: ProcessMode,
    /// The job that was last given the resource.
    pub job_id: Option<JobId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its last change.
    pub updated_at: Timestamp,
}

const COLUMNS: &str = "g.id, g.project_id, g.key, g.process_mode, g.job_id, g.created_at, g.updated_at";

/// The statuses in which a job that was given the resource holds it.
const HOLDING: &str = "('waiting_for_callback', 'preparing', 'pending', 'running', 'canceling')";

fn read(row: &Row) -> Result<ResourceGroup> {
    let mut c = Columns::of(row);
    Ok(ResourceGroup {
        id: c.next()?,
        project_id: c.next()?,
        key: c.next()?,
        process_mode: c.next()?,
        job_id: c.next()?,
        created_at: c.next()?,
        updated_at: c.next()?,
    })
}

/// A project's groups, the oldest first.
pub fn list(tx: &mut Tx<'_>, project_id: ProjectId, page: Page) -> Result<Vec<ResourceGroup>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM resource_groups g WHERE g.project_id = $1 ORDER BY g.id LIMIT $2 OFFSET $3"
    );
    all(&tx.query(&sql, params![project_id, page.limit, page.offset])?, read)
}

/// How many groups a project has.
pub fn count(tx: &mut Tx<'_>, project_id: ProjectId) -> Result<i64> {
    let sql = "SELECT count(*) FROM resource_groups WHERE project_id = $1";
    tx.query_one(sql, params![project_id])?.get(0)
}

/// The group with an id.
pub fn find(tx: &mut Tx<'_>, id: ResourceGroupId) -> Result<Option<ResourceGroup>> {
    let sql = format!("SELECT {COLUMNS} FROM resource_groups g WHERE g.id = $1");
    tx.query_opt(&sql, params![id])?.as_ref().map(read).transpose()
}

/// A project's group of this name.
pub fn find_by_key(tx: &mut Tx<'_>, project_id: ProjectId, key: &str) -> Result<Option<ResourceGroup>> {
    let sql = format!("SELECT {COLUMNS} FROM resource_groups g WHERE g.project_id = $1 AND g.key = $2");
    tx.query_opt(&sql, params![project_id, key])?.as_ref().map(read).transpose()
}

/// Changes in which order jobs get the resource.
pub fn set_process_mode(
    tx: &mut Tx<'_>,
    id: ResourceGroupId,
    mode: ProcessMode,
    now: Timestamp,
) -> Result<()> {
    let sql = "UPDATE resource_groups SET process_mode = $2, updated_at = $3 WHERE id = $1";
    tx.execute(sql, params![id, mode, now]).map(drop)
}

/// Puts new jobs into their groups, which are made where they are new.
pub(crate) fn join(
    tx: &mut Tx<'_>,
    project_id: ProjectId,
    state: &PipelineState,
    ids: &[JobId],
    now: Timestamp,
) -> Result<()> {
    let mut groups: BTreeMap<&str, Vec<JobId>> = BTreeMap::new();
    for (job, id) in state.jobs.iter().zip(ids) {
        if let Some(key) = &job.resource_group {
            groups.entry(key).or_default().push(*id);
        }
    }
    if groups.is_empty() {
        return Ok(());
    }
    let project = projects::find(tx, project_id)?.ok_or(Error::NoRow)?;
    let mode = project.settings.resource_group_default_process_mode;
    for (key, jobs) in groups {
        let group = ensure(tx, project_id, key, mode, now)?;
        let rows: Vec<_> = jobs.iter().map(|id| [Value::Integer(id.0), Value::Integer(group.0)]).collect();
        bulk::with_values(
            tx,
            "UPDATE jobs SET resource_group_id = v.column2 FROM",
            &["BIGINT", "BIGINT"],
            &rows,
            "WHERE jobs.id = v.column1",
        )?;
    }
    Ok(())
}

fn ensure(
    tx: &mut Tx<'_>,
    project_id: ProjectId,
    key: &str,
    mode: ProcessMode,
    now: Timestamp,
) -> Result<ResourceGroupId> {
    if let Some(group) = find_by_key(tx, project_id, key)? {
        return Ok(group.id);
    }
    // Someone else may be first.
    tx.execute(
        "INSERT INTO resource_groups (project_id, key, process_mode, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $4) ON CONFLICT (project_id, key) DO NOTHING",
        params![project_id, key, mode, now],
    )?;
    Ok(find_by_key(tx, project_id, key)?.ok_or(Error::NoRow)?.id)
}

/// The groups of jobs, each once.
pub fn of_jobs(tx: &mut Tx<'_>, jobs: &[JobId]) -> Result<Vec<ResourceGroupId>> {
    let rows = bulk::each_of(tx, jobs, |ids| {
        format!(
            "SELECT DISTINCT resource_group_id FROM jobs WHERE id IN ({ids}) AND resource_group_id IS NOT NULL"
        )
    })?;
    let mut groups = rows.iter().map(|row| row.get(0)).collect::<Result<Vec<ResourceGroupId>>>()?;
    groups.sort_unstable();
    groups.dedup();
    Ok(groups)
}

/// The groups of a project that a job waits for.
pub fn awaited(tx: &mut Tx<'_>, project_id: ProjectId) -> Result<Vec<ResourceGroupId>> {
    let sql = "SELECT DISTINCT resource_group_id FROM jobs
               WHERE project_id = $1 AND status = 'waiting_for_resource' AND resource_group_id IS NOT NULL";
    tx.query(sql, params![project_id])?.iter().map(|row| row.get(0)).collect()
}

/// The job that holds a group's resource, unless it is free: a holder that has come to its end, or is gone, holds
/// nothing.
pub fn holder(tx: &mut Tx<'_>, group: &ResourceGroup) -> Result<Option<JobId>> {
    let sql = format!("SELECT id FROM jobs WHERE id = $1 AND status IN {HOLDING}");
    tx.query_opt(&sql, params![group.job_id])?.map(|row| row.get(0)).transpose()
}

fn candidate(row: &Row) -> Result<Candidate> {
    Ok(Candidate { job: row.get(0)?, pipeline: row.get(1)?, status: row.get(2)? })
}

/// The first job of each status, by pipeline and job in this direction. As many rows as statuses, however many jobs
/// wait.
pub fn first_of_each(
    tx: &mut Tx<'_>,
    id: ResourceGroupId,
    statuses: &[JobStatus],
    direction: Sort,
) -> Result<Vec<Candidate>> {
    let direction = direction.sql();
    let sql = format!(
        "SELECT j.id, j.pipeline_id, j.status FROM jobs j
         WHERE j.resource_group_id = $1 AND j.status = $2
         ORDER BY j.pipeline_id {direction}, j.id {direction} LIMIT 1"
    );
    let mut found = Vec::with_capacity(statuses.len());
    for status in statuses {
        found.extend(tx.query_opt(&sql, params![id, status])?.as_ref().map(candidate).transpose()?);
    }
    Ok(found)
}

/// Every job of a group with one of these statuses, in no order.
pub fn with_statuses(tx: &mut Tx<'_>, id: ResourceGroupId, statuses: &[JobStatus]) -> Result<Vec<Candidate>> {
    let rows = bulk::each_of(tx, statuses, |statuses| {
        format!(
            "SELECT j.id, j.pipeline_id, j.status FROM jobs j
             WHERE j.resource_group_id = {id} AND j.status IN ({statuses})"
        )
    })?;
    all(&rows, candidate)
}

/// Gives the resource to a job; `false` if it is not with `from` any more. In the transaction that applies
/// [`ResourceGranted`](weir_engine::Event::ResourceGranted), after it, and that has seen that `from` holds it no longer.
pub fn give(tx: &mut Tx<'_>, id: ResourceGroupId, from: Option<JobId>, to: JobId) -> Result<bool> {
    let sql = "UPDATE resource_groups SET job_id = $3
               WHERE id = $1 AND coalesce(job_id, 0) = coalesce(CAST($2 AS BIGINT), 0)";
    Ok(tx.execute(sql, params![id, from, to])? == 1)
}
