//! The jobs whose time has come, and when the next one's comes. Times are columns of the jobs, so they outlive the
//! process; what becomes of a job is [`weir_engine::timeout::overdue`]'s to say.

use weir_api::id::{JobId, PipelineId};
use weir_api::{RunnerAccessLevel, RunnerType, Timestamp};
use weir_engine::JobIndex;
use weir_engine::timeout::{
    GRACE_SECS, PENDING_SECS, PENDING_WITHOUT_RUNNER_SECS, RUNNER_SEEN_SECS, SILENCE_SECS,
    STALE_SCHEDULE_SECS,
};

use crate::columns::all;
use crate::{Result, Row, Tx, params};

/// A job that needs attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The job.
    pub id: JobId,
    /// Its pipeline.
    pub pipeline_id: PipelineId,
    /// Its place in the pipeline's state.
    pub index: JobIndex,
}

/// The jobs whose time has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllDue {
    /// Delayed jobs, the most overdue first.
    pub delayed: Vec<Due>,
    /// Running and canceling jobs whose timeout and grace have passed.
    pub timed_out: Vec<Due>,
    /// Running and canceling jobs without a word from their runner.
    pub silent: Vec<Due>,
    /// Jobs that have been pending for too long.
    pub pending: Vec<Due>,
    /// Jobs that no runner could take and that have been pending for longer than such a job may.
    pub unserved: Vec<Due>,
    /// Bridges that have been pending for too long and have no downstream pipeline.
    pub bridges: Vec<Due>,
}

impl AllDue {
    /// Whether one kind has so many that there may be more.
    pub fn is_full(&self, limit: i64) -> bool {
        let Self { delayed, timed_out, silent, pending, unserved, bridges } = self;
        [delayed, timed_out, silent, pending, unserved, bridges]
            .into_iter()
            .any(|jobs| i64::try_from(jobs.len()).is_ok_and(|count| count >= limit))
    }
}

const COLUMNS: &str = "j.id, j.pipeline_id, j.position";
/// A bridge has no runner, and waits for its pipeline as long as that takes.
const WITH_RUNNER: &str = "j.status IN ('running', 'canceling') AND NOT j.bridge AND NOT j.external";

fn read(row: &Row) -> Result<Due> {
    Ok(Due { id: row.get(0)?, pipeline_id: row.get(1)?, index: JobIndex(row.get(2)?) })
}

/// The jobs whose time has come, at most `limit` of each kind.
pub fn due(tx: &mut Tx<'_>, now: Timestamp, limit: i64) -> Result<AllDue> {
    let mut look = |since: i64, column: &str, compared: &str, of: &str| {
        let sql = format!(
            "SELECT {COLUMNS} FROM jobs j WHERE {of} AND j.{column} {compared} $1 ORDER BY j.{column} LIMIT $2"
        );
        all(&tx.query(&sql, params![now.plus_secs(-since), limit])?, read)
    };
    let waiting_bridge = "j.status = 'pending' AND j.bridge
         AND NOT EXISTS (SELECT 1 FROM pipelines p WHERE p.upstream_job_id = j.id)";
    let mut found = AllDue {
        delayed: look(0, "scheduled_at", "<=", "j.status = 'scheduled'")?,
        timed_out: look(GRACE_SECS, "deadline_at", "<", "j.deadline_at IS NOT NULL")?,
        silent: look(SILENCE_SECS, "updated_at", "<", WITH_RUNNER)?,
        pending: look(
            PENDING_SECS,
            "queued_at",
            "<",
            "j.status = 'pending' AND NOT j.bridge AND NOT j.external",
        )?,
        bridges: look(PENDING_SECS, "queued_at", "<", waiting_bridge)?,
        unserved: Vec::new(),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM queue q JOIN jobs j ON j.id = q.job_id
         WHERE q.lane_id = $1 AND j.queued_at < $2 ORDER BY j.queued_at LIMIT $3"
    );
    let since = now.plus_secs(-PENDING_WITHOUT_RUNNER_SECS);
    for lane in lanes(tx)?.iter().filter(|lane| !lane.is_served(now)) {
        found.unserved.extend(all(&tx.query(&sql, params![lane.id, since, limit])?, read)?);
    }
    Ok(found)
}

/// When the next job's time comes, after `now`.
pub fn next(tx: &mut Tx<'_>, now: Timestamp) -> Result<Option<Timestamp>> {
    let mut times = Vec::new();
    for (secs, column, of) in [
        (STALE_SCHEDULE_SECS, "scheduled_at", "j.status = 'scheduled'"),
        (GRACE_SECS, "deadline_at", "j.deadline_at IS NOT NULL"),
        (SILENCE_SECS, "updated_at", WITH_RUNNER),
        (PENDING_SECS, "queued_at", "j.status = 'pending'"),
    ] {
        let sql = format!("SELECT min(j.{column}) FROM jobs j WHERE {of} AND j.{column} >= $1");
        let first: Option<Timestamp> = tx.query_one(&sql, params![now.plus_secs(-secs)])?.get(0)?;
        times.extend(first.map(|first| after(first, secs)));
    }
    let scheduled = "SELECT min(scheduled_at) FROM jobs WHERE status = 'scheduled' AND scheduled_at > $1";
    times.extend(tx.query_one(scheduled, params![now])?.get::<Option<Timestamp>>(0)?);
    for lane in lanes(tx)? {
        times.extend(match lane.seen_at {
            Some(seen) if lane.is_served(now) => Some(after(seen, RUNNER_SEEN_SECS)),
            _ => {
                let sql = "SELECT min(j.queued_at) FROM queue q JOIN jobs j ON j.id = q.job_id
                           WHERE q.lane_id = $1 AND j.queued_at >= $2";
                let since = now.plus_secs(-PENDING_WITHOUT_RUNNER_SECS);
                let first: Option<Timestamp> = tx.query_one(sql, params![lane.id, since])?.get(0)?;
                first.map(|first| after(first, PENDING_WITHOUT_RUNNER_SECS))
            }
        });
    }
    Ok(times.into_iter().min())
}

/// The first moment that is more than `secs` after `from`.
fn after(from: Timestamp, secs: i64) -> Timestamp {
    Timestamp::from_micros(from.plus_secs(secs).as_micros().saturating_add(1))
}

/// A lane of the queue in which jobs wait.
struct Lane {
    id: i64,
    /// When an active runner that may take its jobs was last heard of.
    seen_at: Option<Timestamp>,
}

impl Lane {
    fn is_served(&self, now: Timestamp) -> bool {
        self.seen_at.is_some_and(|seen| seen.plus_secs(RUNNER_SEEN_SECS) >= now)
    }
}

/// The lanes in which jobs wait. Who may take them is as in [`queue`](crate::queue).
fn lanes(tx: &mut Tx<'_>) -> Result<Vec<Lane>> {
    let sql = "SELECT l.id, (
             SELECT max(r.contacted_at) FROM runner_tag_sets c JOIN runners r ON r.id = c.runner_id
             WHERE c.tag_set_id = l.tag_set_id AND NOT r.paused AND (l.protected OR r.access_level <> $1)
               AND CASE r.runner_type
                   WHEN $2 THEN p.shared_runners_enabled
                   WHEN $3 THEN p.group_runners_enabled AND EXISTS (
                       SELECT 1 FROM namespace_ancestors a
                       WHERE a.namespace_id = p.namespace_id AND a.ancestor_id = r.group_id)
                   ELSE EXISTS (
                       SELECT 1 FROM runner_projects rp WHERE rp.runner_id = r.id AND rp.project_id = p.id)
                   END)
         FROM queue_lanes l JOIN projects p ON p.id = l.project_id WHERE l.head IS NOT NULL";
    let params = params![RunnerAccessLevel::RefProtected, RunnerType::Instance, RunnerType::Group];
    all(&tx.query(sql, params)?, |row| Ok(Lane { id: row.get(0)?, seen_at: row.get(1)? }))
}
