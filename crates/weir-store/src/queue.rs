//! Jobs that wait for a runner.
//!
//! Pending jobs of one project with the same tags and protection wait in one lane. A lane knows its smallest job
//! (`head`) and how many of the project's jobs run on instance runners (`running`). A claim walks the index of
//! lanes in the order in which they are due and takes the head of the first that the runner may serve: its cost
//! depends on how many lanes wait, never on how many jobs.
//!
//! Locks are taken in the order pipeline, queue rows, lanes by id. So [`claimable`] locks nothing but a pipeline.

use std::collections::BTreeMap;

use weir_api::id::{JobId, PipelineId, ProjectId, TagSetId};
use weir_api::{RunnerAccessLevel, RunnerType};

use crate::runners::Runner;
use crate::{Result, Tx, Value, bulk, params};

/// How many lanes a claim looks at. On SQLite the first is free, for there are no other writers; on PostgreSQL
/// those in front may be locked.
const LANES: i64 = 8;
/// How many jobs of a lane a claim looks at.
const CANDIDATES: i64 = 8;

/// A job in front of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The job.
    pub job_id: JobId,
    /// Its pipeline.
    pub pipeline_id: PipelineId,
}

/// The job that a runner is to take next. The first of a lane for project and group runners; for instance runners
/// of the project with the fewest jobs on instance runners. Source:
/// `app/services/ci/queue/pending_builds_strategy.rb`.
///
/// On PostgreSQL the job's pipeline is locked, unless all in question were: then the first candidate comes
/// unlocked, and [`transition`](crate::pipelines::transition) waits for it. The job may turn out to be taken; then
/// a new transaction asks again.
pub fn claimable(tx: &mut Tx<'_>, runner: &Runner) -> Result<Option<Candidate>> {
    if runner.paused {
        return Ok(None);
    }
    let mut first = None;
    for (lane, head) in lanes(tx, runner)? {
        let candidates = tx.query(
            "SELECT q.job_id, j.pipeline_id FROM queue q JOIN jobs j ON j.id = q.job_id
             WHERE q.lane_id = $1 AND q.job_id >= $2 ORDER BY q.job_id LIMIT $3",
            params![lane, head, CANDIDATES],
        )?;
        let mut locked: Option<(PipelineId, bool)> = None;
        for row in &candidates {
            let candidate = Candidate { job_id: row.get(0)?, pipeline_id: row.get(1)? };
            first.get_or_insert(candidate);
            let ours = match locked {
                Some((pipeline, ours)) if pipeline == candidate.pipeline_id => ours,
                _ => try_lock(tx, candidate.pipeline_id)?,
            };
            locked = Some((candidate.pipeline_id, ours));
            if ours && is_queued(tx, candidate.job_id)? {
                return Ok(Some(candidate));
            }
        }
    }
    Ok(first)
}

/// Whether there is anything for a runner at all. Locks nothing, so whoever waits asks this first.
pub fn has_any(tx: &mut Tx<'_>, runner: &Runner) -> Result<bool> {
    Ok(!runner.paused && !lanes(tx, runner)?.is_empty())
}

/// The lanes that a runner may serve, in order, with their heads.
fn lanes(tx: &mut Tx<'_>, runner: &Runner) -> Result<Vec<(i64, JobId)>> {
    let (scope, scope_id, order) = match runner.runner_type {
        RunnerType::Instance => ("p.shared_runners_enabled AND $3 = 0", 0, "l.running, l.head"),
        RunnerType::Group => (
            "p.group_runners_enabled AND EXISTS (
                 SELECT 1 FROM namespace_ancestors a
                 WHERE a.namespace_id = p.namespace_id AND a.ancestor_id = $3)",
            runner.group_id.map_or(0, |id| id.0),
            "l.head",
        ),
        RunnerType::Project => (
            "EXISTS (SELECT 1 FROM runner_projects rp WHERE rp.runner_id = $3 AND rp.project_id = p.id)",
            runner.id.0,
            "l.head",
        ),
    };
    let sql = format!(
        "SELECT l.id, l.head FROM queue_lanes l
         WHERE l.head IS NOT NULL
           AND EXISTS (SELECT 1 FROM runner_tag_sets c
                       WHERE c.runner_id = $1 AND c.tag_set_id = l.tag_set_id)
           AND (l.protected OR NOT $2)
           AND EXISTS (SELECT 1 FROM projects p WHERE p.id = l.project_id AND NOT p.deleting
                       AND p.builds_access_level <> 'disabled' AND {scope})
         ORDER BY {order} LIMIT $4"
    );
    let protected_only = runner.access_level == RunnerAccessLevel::RefProtected;
    let rows = tx.query(&sql, params![runner.id, protected_only, scope_id, LANES])?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Locks a pipeline if nobody has. Always succeeds on SQLite.
fn try_lock(tx: &mut Tx<'_>, id: PipelineId) -> Result<bool> {
    let sql = format!("SELECT id FROM pipelines WHERE id = $1{}", tx.for_update_skip_locked());
    Ok(tx.query_opt(&sql, params![id])?.is_some())
}

fn is_queued(tx: &mut Tx<'_>, id: JobId) -> Result<bool> {
    Ok(tx.query_opt("SELECT job_id FROM queue WHERE job_id = $1", params![id])?.is_some())
}

/// Puts jobs into the queue; those that are in it stay where they are.
pub(crate) fn push(tx: &mut Tx<'_>, jobs: &[JobId]) -> Result<()> {
    let rows = bulk::each_of(tx, jobs, |ids| {
        format!("SELECT project_id, tag_set_id, protected, id FROM jobs WHERE id IN ({ids}) AND NOT bridge")
    })?;
    let mut lanes: BTreeMap<(ProjectId, TagSetId, bool), Vec<JobId>> = BTreeMap::new();
    for row in &rows {
        lanes.entry((row.get(0)?, row.get(1)?, row.get(2)?)).or_default().push(row.get(3)?);
    }
    // The rows go in after the lanes are locked: a claim that empties a lane sees them, or waits for us to set
    // the head anew.
    for ((project_id, tag_set_id, protected), jobs) in lanes {
        let head = jobs.iter().min();
        let lane: i64 = tx.insert(
            "INSERT INTO queue_lanes (project_id, tag_set_id, protected, head, running)
             VALUES ($1, $2, $3, $4,
                     (SELECT coalesce(max(o.running), 0) FROM queue_lanes o WHERE o.project_id = $1))
             ON CONFLICT (project_id, tag_set_id, protected) DO UPDATE SET head =
                 CASE WHEN queue_lanes.head IS NULL OR queue_lanes.head > excluded.head
                 THEN excluded.head ELSE queue_lanes.head END
             RETURNING id",
            params![project_id, tag_set_id, protected, head],
        )?;
        let rows: Vec<_> = jobs.iter().map(|job| [Value::Integer(job.0), Value::Integer(lane)]).collect();
        bulk::insert(tx, "queue (job_id, lane_id)", &rows, "ON CONFLICT (job_id) DO NOTHING")?;
    }
    Ok(())
}

/// Takes jobs out of the queue; those that are not in it are passed over.
pub(crate) fn remove(tx: &mut Tx<'_>, jobs: &[JobId]) -> Result<()> {
    let rows = bulk::each_of(tx, jobs, |ids| {
        format!("DELETE FROM queue WHERE job_id IN ({ids}) RETURNING lane_id, job_id")
    })?;
    let mut removed: BTreeMap<i64, Vec<JobId>> = BTreeMap::new();
    for row in &rows {
        removed.entry(row.get(0)?).or_default().push(row.get(1)?);
    }
    for (lane, jobs) in removed {
        // A statement of its own, so that the next one sees what whoever had the lock has written.
        let sql = format!("SELECT head FROM queue_lanes WHERE id = $1{}", tx.for_update());
        let head: Option<JobId> = tx.query_one(&sql, params![lane])?.get(0)?;
        if head.is_some_and(|head| jobs.contains(&head)) {
            // From the old head on: what is in front of it was taken, and an index keeps its dead entries a while.
            tx.execute(
                "UPDATE queue_lanes SET head =
                     (SELECT min(q.job_id) FROM queue q WHERE q.lane_id = $1 AND q.job_id >= $2)
                 WHERE id = $1",
                params![lane, head],
            )?;
        }
    }
    Ok(())
}

/// Counts those of the jobs that began to run on an instance runner; all are of one project.
pub(crate) fn count_started(tx: &mut Tx<'_>, jobs: &[JobId]) -> Result<()> {
    count_jobs(tx, jobs, '+')
}

/// Counts those of the jobs that ran on an instance runner and do no more; all are of one project.
pub(crate) fn count_ended(tx: &mut Tx<'_>, jobs: &[JobId]) -> Result<()> {
    count_jobs(tx, jobs, '-')
}

fn count_jobs(tx: &mut Tx<'_>, jobs: &[JobId], sign: char) -> Result<()> {
    let sql = |ids: &str| {
        format!(
            "UPDATE queue_lanes SET running = running {sign}
                 (SELECT count(*) FROM jobs j WHERE j.id IN ({ids}) AND j.on_instance_runner)
             WHERE project_id IN
                 (SELECT j.project_id FROM jobs j WHERE j.id IN ({ids}) AND j.on_instance_runner)"
        )
    };
    bulk::each_of(tx, jobs, sql).map(drop)
}

/// Changes how many of a project's jobs run on instance runners.
pub(crate) fn count_running(tx: &mut Tx<'_>, project_id: ProjectId, by: i64) -> Result<()> {
    tx.execute(
        "UPDATE queue_lanes SET running = running + $2 WHERE project_id = $1",
        params![project_id, by],
    )?;
    Ok(())
}

/// How many of a project's jobs run on instance runners.
pub fn running_on_instance_runners(tx: &mut Tx<'_>, project_id: ProjectId) -> Result<i64> {
    let sql = "SELECT coalesce(max(running), 0) FROM queue_lanes WHERE project_id = $1";
    tx.query_one(sql, params![project_id])?.get(0)
}

/// How many jobs wait in all. For metrics.
pub fn size(tx: &mut Tx<'_>) -> Result<i64> {
    tx.query_one("SELECT count(*) FROM queue", params![])?.get(0)
}
