//! The state of a pipeline in the database: the only place that writes a status.

use std::hash::BuildHasher;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use weir_api::environments::EnvironmentAction;
use weir_api::id::{JobId, PipelineId, ProjectId};
use weir_api::{JobStatus, Timestamp};
use weir_compiler::plan::{self, Retry, When};
use weir_engine::{Changes, Effect, JobIndex, JobKind, JobState, PipelineState, StageState};

use super::cache::{Loaded, PipelineCache};
use super::{NewPipeline, on_new_commit_word};
use crate::columns::Columns;
use crate::{
    Error, Result, Row, Tx, Value, artifacts, bulk, params, queue, resource_groups, tag_sets, traces,
};

/// What a definition says of when a job runs; read with every load, so it is stored apart from what it runs.
#[derive(Serialize, Deserialize)]
struct Timing {
    #[serde(default)]
    when: When,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_in: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exit_codes: Vec<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    needs: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry: Option<Retry>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    interruptible: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource_group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<EnvironmentAction>,
}

impl Timing {
    fn of(job: &JobState) -> Self {
        Self {
            when: job.when,
            start_in: job.start_in,
            exit_codes: job.allow_failure_exit_codes.clone(),
            needs: job.needs.clone(),
            retry: job.retry.clone(),
            interruptible: job.interruptible,
            resource_group: job.resource_group.clone(),
            environment: job.environment,
        }
    }
}

/// A pipeline that was inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inserted {
    /// Its id.
    pub id: PipelineId,
    /// Its number in the project.
    pub iid: i64,
    /// The ids of its jobs, in the order of the state.
    pub jobs: Vec<JobId>,
    /// Whether its project has webhooks.
    pub hooked: bool,
    pub(super) version: i64,
}

/// What [`transition`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// What changed, and what is to be done now that it has. Queue, counters, artifacts and traces are done.
    pub changes: Changes,
    /// The bridge that started the pipeline.
    pub upstream: Option<JobId>,
    /// The ids of all jobs, by [`JobIndex`].
    pub ids: Arc<Vec<JobId>>,
    /// How many of them there were before.
    pub known: usize,
    /// Whether its project has webhooks.
    pub hooked: bool,
}

impl Transition {
    /// The id of a job.
    pub fn id(&self, index: JobIndex) -> Option<JobId> {
        self.ids.get(index.0 as usize).copied()
    }
}

/// A number that no other save has, so that a version never comes back.
fn version() -> i64 {
    i64::from_ne_bytes(std::hash::RandomState::new().hash_one(0_u8).to_ne_bytes())
}

fn integer(value: impl Into<i64>) -> Value<'static> {
    Value::Integer(value.into())
}

fn size(value: usize) -> Value<'static> {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Inserts a pipeline with its stages, jobs and definitions, and does the effects that [`save`] does.
///
/// `state` is what the engine made of the plan, `changes` what applying [`Created`](weir_engine::Event::Created)
/// gave; `definitions` are the plan's jobs, as many as `state` has.
pub fn insert(
    tx: &mut Tx<'_>,
    new: &NewPipeline,
    state: &PipelineState,
    definitions: &[plan::Job],
    changes: &Changes,
    now: Timestamp,
) -> Result<Inserted> {
    let numbered = tx.query_one(
        "UPDATE projects SET last_pipeline_iid = last_pipeline_iid + 1 WHERE id = $1
         RETURNING last_pipeline_iid, EXISTS (SELECT 1 FROM webhooks w WHERE w.project_id = projects.id)",
        params![new.project_id],
    )?;
    let (iid, hooked): (i64, bool) = (numbered.get(0)?, numbered.get(1)?);
    let (upstream, version) = (new.upstream, version());
    let id: PipelineId = tx.insert(
        "INSERT INTO pipelines (project_id, iid, sha, before_sha, ref, tag, protected, source, config_source,
             status, name, user_id, yaml_errors, failure_reason, upstream_job_id, upstream_pipeline_id,
             upstream_project_id, child, on_new_commit, cancel_on_job_failure, version, created_at, updated_at,
             started_at, finished_at, duration, merge_request_id, source_sha, target_sha)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
             $22, $22, $23, $24, $25, $26, $27, $28) RETURNING id",
        params![
            new.project_id,
            iid,
            new.sha,
            new.before_sha,
            new.ref_name,
            new.tag,
            new.protected,
            new.source,
            new.config_source,
            state.status,
            new.name,
            new.user_id,
            new.yaml_errors,
            new.failure_reason,
            upstream.map(|upstream| upstream.job_id),
            upstream.map(|upstream| upstream.pipeline_id),
            upstream.map(|upstream| upstream.project_id),
            upstream.is_some_and(|upstream| upstream.child),
            new.on_new_commit.map(on_new_commit_word),
            state.cancel_on_job_failure,
            version,
            now,
            state.started_at,
            state.finished_at,
            state.duration,
            new.merge_request_id,
            new.merged.as_ref().map(|merged| &merged.source_sha),
            new.merged.as_ref().map(|merged| &merged.target_sha)
        ],
    )?;
    if let Some(yaml) = &new.merged_yaml {
        let sql = "INSERT INTO pipeline_configs (pipeline_id, merged_yaml) VALUES ($1, $2)";
        tx.execute(sql, params![id, yaml])?;
    }
    let stages: Vec<_> = (0..)
        .zip(&state.stages)
        .map(|(position, stage)| {
            [integer(id.0), size(position), Value::Text(&stage.name), Value::Text(stage.status.as_str())]
        })
        .collect();
    bulk::insert(tx, "stages (pipeline_id, position, name, status)", &stages, "")?;
    insert_definitions(tx, id, state, definitions)?;
    let jobs = insert_jobs(tx, id, new, state, definitions)?;
    resource_groups::join(tx, new.project_id, state, &jobs, now)?;
    perform(tx, id, &jobs, &changes.effects, now)?;
    Ok(Inserted { id, iid, jobs, hooked, version })
}

fn insert_definitions(
    tx: &mut Tx<'_>,
    id: PipelineId,
    state: &PipelineState,
    definitions: &[plan::Job],
) -> Result<()> {
    let texts = state
        .jobs
        .iter()
        .zip(definitions)
        .map(|(job, definition)| {
            Ok((serde_json::to_string(&Timing::of(job))?, serde_json::to_string(definition)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let rows: Vec<_> = (0..)
        .zip(&texts)
        .map(|(position, (scheduling, content))| {
            [integer(id.0), size(position), Value::Text(scheduling), Value::Text(content)]
        })
        .collect();
    bulk::insert(tx, "job_definitions (pipeline_id, position, scheduling, content)", &rows, "").map(drop)
}

fn insert_jobs(
    tx: &mut Tx<'_>,
    id: PipelineId,
    new: &NewPipeline,
    state: &PipelineState,
    definitions: &[plan::Job],
) -> Result<Vec<JobId>> {
    let tag_sets = tag_sets::ensure(tx, definitions.iter().map(|definition| definition.tags.as_slice()))?;
    let jobs = (0..).zip(state.jobs.iter().zip(definitions));
    let rows = jobs.map(|(position, (job, definition))| {
        let stage = state.stages.get(job.stage as usize).map_or("", |stage| stage.name.as_str());
        let environment = definition.environment.as_ref().map(|environment| environment.name.as_str());
        let tag_set = tag_sets.get(definition.tags.as_slice()).map_or(Value::Null, |id| integer(id.0));
        [
            integer(id.0),
            integer(new.project_id.0),
            size(position),
            size(position),
            integer(job.stage),
            Value::Text(stage),
            Value::Text(&job.name),
            Value::Boolean(job.is_bridge()),
            Value::Boolean(new.protected),
            tag_set,
            environment.map_or(Value::Null, Value::Text),
            new.user_id.map_or(Value::Null, |user| integer(user.0)),
            Value::Text(job.status.as_str()),
            Value::Boolean(job.retried),
            Value::Boolean(job.allow_failure),
            Value::Boolean(job.enqueue_immediately),
            Value::Boolean(job.cancel_gracefully),
            job.failure_reason.map_or(Value::Null, |reason| Value::Text(reason.as_str())),
            time(job.scheduled_at),
            time(Some(job.created_at)),
            time(job.queued_at),
            time(job.started_at),
            time(job.finished_at),
            time(Some(job.updated_at)),
            Value::Boolean(false),
            Value::Boolean(false),
        ]
    });
    let rows: Vec<[Value<'_>; 26]> = rows.collect();
    let into =
        "jobs (pipeline_id, project_id, position, definition, stage, stage_name, name, bridge, protected,
         tag_set_id, environment, user_id, status, retried, allow_failure, enqueue_immediately,
         cancel_gracefully, failure_reason, scheduled_at, created_at, queued_at, started_at, finished_at,
         updated_at, on_instance_runner, debug_trace)";
    in_order(&bulk::insert(tx, into, &rows, "RETURNING position, id")?)
}

fn time(at: Option<Timestamp>) -> Value<'static> {
    at.map_or(Value::Null, |at| Value::Integer(at.as_micros()))
}

/// Locks a pipeline and reads its state and the ids of its jobs.
pub fn load(tx: &mut Tx<'_>, id: PipelineId) -> Result<Option<(PipelineState, Vec<JobId>)>> {
    let Some(locked) = lock(tx, id)? else { return Ok(None) };
    let loaded = read_state(tx, id, locked)?;
    Ok(Some((loaded.state, Arc::unwrap_or_clone(loaded.ids))))
}

/// A pipeline's own fields.
#[derive(Clone, Copy)]
struct Locked {
    hooked: bool,
    project_id: ProjectId,
    upstream: Option<JobId>,
    version: i64,
    status: JobStatus,
    cancel_on_job_failure: bool,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    duration: Option<f64>,
}

fn lock(tx: &mut Tx<'_>, id: PipelineId) -> Result<Option<Locked>> {
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM webhooks w WHERE w.project_id = pipelines.project_id), project_id,
             upstream_job_id, version, status, cancel_on_job_failure, started_at, finished_at, duration
         FROM pipelines WHERE id = $1{}",
        tx.for_update()
    );
    let Some(row) = tx.query_opt(&sql, params![id])? else { return Ok(None) };
    let mut c = Columns::of(&row);
    Ok(Some(Locked {
        hooked: c.next()?,
        project_id: c.next()?,
        upstream: c.next()?,
        version: c.next()?,
        status: c.next()?,
        cancel_on_job_failure: c.next()?,
        started_at: c.next()?,
        finished_at: c.next()?,
        duration: c.next()?,
    }))
}

fn read_state(tx: &mut Tx<'_>, id: PipelineId, pipeline: Locked) -> Result<Loaded> {
    let stages =
        tx.query("SELECT name, status FROM stages WHERE pipeline_id = $1 ORDER BY position", params![id])?;
    let stages = stages
        .iter()
        .map(|row| Ok(StageState { name: row.get(0)?, status: row.get(1)? }))
        .collect::<Result<Vec<_>>>()?;
    let rows = tx.query(
        "SELECT j.id, j.name, j.stage, j.bridge, j.external, j.status, j.retried, j.retry_of,
             coalesce(d.scheduling, '{}'), j.allow_failure,
             j.enqueue_immediately, j.cancel_gracefully, j.failure_reason, j.exit_code, j.timeout,
             j.scheduled_at, j.created_at, j.queued_at, j.started_at, j.finished_at, j.updated_at, j.erased_at
         FROM jobs j LEFT JOIN job_definitions d ON d.pipeline_id = j.pipeline_id AND d.position = j.definition
         WHERE j.pipeline_id = $1 ORDER BY j.position",
        params![id],
    )?;
    let mut jobs = Vec::with_capacity(rows.len());
    let mut ids = Vec::with_capacity(rows.len());
    for row in &rows {
        ids.push(row.get(0)?);
        jobs.push(read_job(row)?);
    }
    let state = PipelineState {
        status: pipeline.status,
        stages,
        jobs: jobs.into(),
        cancel_on_job_failure: pipeline.cancel_on_job_failure,
        started_at: pipeline.started_at,
        finished_at: pipeline.finished_at,
        duration: pipeline.duration,
    };
    Ok(Loaded { state, ids: Arc::new(ids) })
}

fn read_job(row: &Row) -> Result<JobState> {
    let mut c = Columns::of(row);
    let _id: JobId = c.next()?;
    let (name, stage) = (c.next()?, c.next()?);
    let kind = match (c.next()?, c.next()?) {
        (true, _) => JobKind::Bridge,
        (false, true) => JobKind::External,
        (false, false) => JobKind::Build,
    };
    let (status, retried, retry_of) = (c.next()?, c.next()?, c.next::<Option<u32>>()?);
    let timing: Timing = c.json()?;
    Ok(JobState {
        name,
        stage,
        kind,
        status,
        retried,
        retry_of: retry_of.map(JobIndex),
        when: timing.when,
        start_in: timing.start_in,
        allow_failure: c.next()?,
        allow_failure_exit_codes: timing.exit_codes,
        needs: timing.needs,
        retry: timing.retry,
        interruptible: timing.interruptible,
        resource_group: timing.resource_group,
        environment: timing.environment,
        enqueue_immediately: c.next()?,
        cancel_gracefully: c.next()?,
        failure_reason: c.next()?,
        exit_code: c.next()?,
        timeout: c.seconds()?,
        scheduled_at: c.next()?,
        created_at: c.next()?,
        queued_at: c.next()?,
        started_at: c.next()?,
        finished_at: c.next()?,
        updated_at: c.next()?,
        erased_at: c.next()?,
    })
}

/// Writes what changed in a pipeline that [`load`] has locked in this transaction, and does the effects that are
/// rows: the queue, the counters of running jobs, erasure. `ids` are those of [`load`]; new rows add theirs.
pub fn save(
    tx: &mut Tx<'_>,
    id: PipelineId,
    state: &PipelineState,
    ids: &mut Vec<JobId>,
    changes: &Changes,
    now: Timestamp,
) -> Result<()> {
    let row = tx.query_one("SELECT project_id FROM pipelines WHERE id = $1", params![id])?;
    write(tx, id, row.get(0)?, state, ids, changes, now).map(drop)
}

/// Writes everything; the version that the pipeline now has.
fn write(
    tx: &mut Tx<'_>,
    id: PipelineId,
    project_id: ProjectId,
    state: &PipelineState,
    ids: &mut Vec<JobId>,
    changes: &Changes,
    now: Timestamp,
) -> Result<i64> {
    let version = version();
    let left_canceled =
        |effect: &Effect| matches!(effect, Effect::PipelineStatus { from: JobStatus::Canceled, .. });
    tx.execute(
        "UPDATE pipelines SET version = $2, status = $3, started_at = $4, finished_at = $5, duration = $6,
             updated_at = CASE WHEN $8 THEN $7 ELSE updated_at END,
             canceled_by_pipeline_id = CASE WHEN $9 THEN NULL ELSE canceled_by_pipeline_id END
         WHERE id = $1",
        params![
            id,
            version,
            state.status,
            state.started_at,
            state.finished_at,
            state.duration,
            now,
            changes.pipeline,
            changes.effects.iter().any(left_canceled)
        ],
    )?;
    for position in &changes.stages {
        if let Some(stage) = state.stages.get(*position as usize) {
            let sql = "UPDATE stages SET status = $3 WHERE pipeline_id = $1 AND position = $2";
            if tx.execute(sql, params![id, position, stage.status])? == 0 {
                let sql = "INSERT INTO stages (pipeline_id, position, name, status) VALUES ($1, $2, $3, $4)";
                tx.execute(sql, params![id, position, stage.name, stage.status])?;
            }
        }
    }
    let known = ids.len();
    let (changed, new): (Vec<JobIndex>, Vec<JobIndex>) =
        changes.jobs.iter().partition(|index| (index.0 as usize) < known);
    let (first, retries): (Vec<JobIndex>, Vec<JobIndex>) = new
        .into_iter()
        .partition(|index| state.job(*index).is_external() && state.job(*index).retry_of.is_none());
    for index in first {
        insert_external(tx, id, project_id, state, ids, index)?;
    }
    insert_retries(tx, id, state, ids, &retries)?;
    update_jobs(tx, state, ids, &changed)?;
    perform(tx, id, ids, &changes.effects, now)?;
    Ok(version)
}

/// Inserts the first row of an external job, which has no definition. At most one row is new in a step with one.
fn insert_external(
    tx: &mut Tx<'_>,
    id: PipelineId,
    project_id: ProjectId,
    state: &PipelineState,
    ids: &mut Vec<JobId>,
    index: JobIndex,
) -> Result<()> {
    let job = state.job(index);
    let stage = state.stages.get(job.stage as usize).map_or("", |stage| stage.name.as_str());
    let no_tags: &[String] = &[];
    let tag_set = tag_sets::ensure(tx, [no_tags])?.get(no_tags).copied();
    let new: JobId = tx.insert(
        "INSERT INTO jobs (pipeline_id, project_id, position, definition, stage, stage_name, name, bridge, external,
             protected, tag_set_id, status, retried, allow_failure, enqueue_immediately, cancel_gracefully,
             failure_reason, created_at, queued_at, started_at, finished_at, updated_at, on_instance_runner,
             debug_trace)
         SELECT p.id, $2, $3, $3, $4, $5, $6, FALSE, TRUE, p.protected, $7, $8, $9, $10, FALSE, FALSE, $11, $12,
             $13, $14, $15, $16, FALSE, FALSE
         FROM pipelines p WHERE p.id = $1 RETURNING id",
        params![
            id,
            project_id,
            index.0,
            job.stage,
            stage,
            job.name,
            tag_set,
            job.status,
            job.retried,
            job.allow_failure,
            job.failure_reason,
            job.created_at,
            job.queued_at,
            job.started_at,
            job.finished_at,
            job.updated_at
        ],
    )?;
    ids.push(new);
    Ok(())
}

/// Inserts the rows of retries: copies of the rows that they repeat, with their own state.
fn insert_retries(
    tx: &mut Tx<'_>,
    id: PipelineId,
    state: &PipelineState,
    ids: &mut Vec<JobId>,
    new: &[JobIndex],
) -> Result<()> {
    let mut rows = Vec::with_capacity(new.len());
    for index in new {
        let job = state.job(*index);
        // A retry of a retry of this very step is a copy of the same row.
        let mut original = job.retry_of;
        while let Some(later) = original.filter(|original| original.0 as usize >= ids.len()) {
            original = state.job(later).retry_of;
        }
        let original = original
            .and_then(|original| ids.get(original.0 as usize))
            .ok_or_else(|| Error::database(format!("job {} is new but repeats none", job.name)))?;
        rows.push([
            integer(original.0),
            integer(index.0),
            Value::Text(job.status.as_str()),
            Value::Boolean(job.retried),
            job.retry_of.map_or(Value::Null, |original| integer(original.0)),
            Value::Boolean(job.allow_failure),
            Value::Boolean(job.enqueue_immediately),
            Value::Boolean(job.cancel_gracefully),
            job.failure_reason.map_or(Value::Null, |reason| Value::Text(reason.as_str())),
            time(job.scheduled_at),
            time(Some(job.created_at)),
            time(job.queued_at),
            time(job.started_at),
            time(job.finished_at),
            time(Some(job.updated_at)),
        ]);
    }
    let Some(first) = new.first() else { return Ok(()) };
    let inserted = bulk::with_values(
        tx,
        "INSERT INTO jobs (pipeline_id, project_id, definition, stage, stage_name, name, bridge, external,
             protected, tag_set_id, environment, user_id, on_instance_runner, debug_trace, position, status, retried,
             retry_of, allow_failure, enqueue_immediately, cancel_gracefully, failure_reason, scheduled_at,
             created_at, queued_at, started_at, finished_at, updated_at, resource_group_id)
         SELECT o.pipeline_id, o.project_id, o.definition, o.stage, o.stage_name, o.name, o.bridge, o.external,
             o.protected, o.tag_set_id, o.environment, o.user_id, FALSE, FALSE, v.column2, v.column3, v.column4,
             v.column5,
             v.column6, v.column7, v.column8, v.column9, v.column10, v.column11, v.column12, v.column13,
             v.column14, v.column15, o.resource_group_id
         FROM",
        &[
            "BIGINT", "BIGINT", "TEXT", "BOOLEAN", "BIGINT", "BOOLEAN", "BOOLEAN", "BOOLEAN", "TEXT", "BIGINT",
            "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT",
        ],
        &rows,
        "JOIN jobs o ON o.id = v.column1 ORDER BY v.column2 RETURNING position, id",
    )?;
    ids.extend(in_order(&inserted)?);
    tx.execute(
        "INSERT INTO job_variables (job_id, key, value, variable_type, raw)
         SELECT n.id, v.key, v.value, v.variable_type, v.raw
         FROM jobs n JOIN jobs o ON o.pipeline_id = n.pipeline_id AND o.position = n.retry_of
         JOIN job_variables v ON v.job_id = o.id
         WHERE n.pipeline_id = $1 AND n.position >= $2 ORDER BY v.id",
        params![id, first.0],
    )?;
    Ok(())
}

/// The ids in rows of position and id, in the order of the positions.
fn in_order(rows: &[Row]) -> Result<Vec<JobId>> {
    let mut ids =
        rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect::<Result<Vec<(u32, JobId)>>>()?;
    ids.sort_unstable();
    Ok(ids.into_iter().map(|(_, id)| id).collect())
}

fn update_jobs(tx: &mut Tx<'_>, state: &PipelineState, ids: &[JobId], changed: &[JobIndex]) -> Result<()> {
    let row = |index: &JobIndex| {
        let job = state.job(*index);
        let seconds = job.timeout.and_then(|seconds| i64::try_from(seconds).ok());
        let runs = matches!(job.status, JobStatus::Running | JobStatus::Canceling);
        let deadline = match (job.started_at, seconds) {
            (Some(started_at), Some(seconds)) if runs => Some(started_at.plus_secs(seconds)),
            _ => None,
        };
        [
            ids.get(index.0 as usize).map_or(Value::Null, |id| integer(id.0)),
            Value::Text(job.status.as_str()),
            Value::Boolean(job.retried),
            Value::Boolean(job.allow_failure),
            Value::Boolean(job.enqueue_immediately),
            Value::Boolean(job.cancel_gracefully),
            job.failure_reason.map_or(Value::Null, |reason| Value::Text(reason.as_str())),
            job.exit_code.map_or(Value::Null, integer),
            seconds.map_or(Value::Null, integer),
            time(deadline),
            time(job.scheduled_at),
            time(job.queued_at),
            time(job.started_at),
            time(job.finished_at),
            time(Some(job.updated_at)),
            time(job.erased_at),
        ]
    };
    let rows: Vec<_> = changed.iter().map(row).collect();
    bulk::with_values(
        tx,
        "UPDATE jobs SET status = v.column2, retried = v.column3, allow_failure = v.column4,
             enqueue_immediately = v.column5, cancel_gracefully = v.column6, failure_reason = v.column7,
             exit_code = v.column8, timeout = v.column9, deadline_at = v.column10, scheduled_at = v.column11,
             queued_at = v.column12, started_at = v.column13, finished_at = v.column14,
             updated_at = v.column15, erased_at = v.column16
         FROM",
        &[
            "BIGINT", "TEXT", "BOOLEAN", "BOOLEAN", "BOOLEAN", "BOOLEAN", "TEXT", "BIGINT", "BIGINT",
            "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT",
        ],
        &rows,
        "WHERE jobs.id = v.column1",
    )
    .map(drop)
}

/// Does the effects that are rows.
fn perform(tx: &mut Tx<'_>, id: PipelineId, ids: &[JobId], effects: &[Effect], now: Timestamp) -> Result<()> {
    let job = |index: JobIndex| {
        ids.get(index.0 as usize)
            .copied()
            .ok_or_else(|| Error::database(format!("pipeline {id} has no job {}", index.0)))
    };
    // What comes last counts, if a job enters and leaves the queue in one step.
    let mut queue = std::collections::BTreeMap::new();
    let (mut started, mut ended) = (Vec::new(), Vec::new());
    for effect in effects {
        match *effect {
            Effect::Enqueue(index) => {
                queue.insert(job(index)?, true);
            }
            Effect::Dequeue(index) => {
                queue.insert(job(index)?, false);
            }
            Effect::JobStatus { job: index, from, to } => {
                let runs = |status| matches!(status, JobStatus::Running | JobStatus::Canceling);
                match (runs(from), runs(to)) {
                    (false, true) => started.push(job(index)?),
                    (true, false) => ended.push(job(index)?),
                    _ => {}
                }
            }
            Effect::EraseData(index) => {
                artifacts::delete_of_job(tx, job(index)?, now)?;
                traces::erase(tx, job(index)?, now)?;
            }
            Effect::Schedule(..)
            | Effect::TriggerDownstream(_)
            | Effect::RestartUpstream
            | Effect::CancelChildren
            | Effect::RequestResource(_)
            | Effect::ReleaseResource(_)
            | Effect::Environment { .. }
            | Effect::PipelineStatus { .. } => {}
        }
    }
    let of = |entering: bool| -> Vec<JobId> {
        queue.iter().filter(|(_, enters)| **enters == entering).map(|(id, _)| *id).collect()
    };
    queue::remove(tx, &of(false))?;
    queue::push(tx, &of(true))?;
    queue::count_started(tx, &started)?;
    queue::count_ended(tx, &ended)
}

/// Locks a pipeline and shows its state and the ids of its jobs to `look`. `None` if there is no such pipeline.
pub fn peek<T>(
    tx: &mut Tx<'_>,
    cache: &PipelineCache,
    id: PipelineId,
    look: impl FnOnce(&PipelineState, &[JobId]) -> T,
) -> Result<Option<T>> {
    let Some(locked) = lock(tx, id)? else { return Ok(None) };
    let version = locked.version;
    let loaded = match cache.take(id, version) {
        Some(loaded) => loaded,
        None => read_state(tx, id, locked)?,
    };
    let seen = look(&loaded.state, &loaded.ids);
    cache.put(id, version, loaded);
    Ok(Some(seen))
}

/// Changes a pipeline: locks it, gives its state to `change`, and writes what that says has changed. `None` if there
/// is no such pipeline. If `change` refuses, nothing is written, and the transaction may go on.
///
/// `change` gets the ids of the jobs by [`JobIndex`]. It may apply several events, if it joins their changes.
pub fn transition<E: From<Error>>(
    tx: &mut Tx<'_>,
    cache: &PipelineCache,
    id: PipelineId,
    now: Timestamp,
    change: impl FnOnce(&mut PipelineState, &[JobId]) -> Result<Changes, E>,
) -> Result<Option<Transition>, E> {
    let Some(locked) = lock(tx, id)? else { return Ok(None) };
    let mut loaded = match cache.take(id, locked.version) {
        Some(loaded) => loaded,
        None => read_state(tx, id, locked)?,
    };
    let (revision, known) = (loaded.state.jobs.revision(), loaded.ids.len());
    let changes = match change(&mut loaded.state, &loaded.ids) {
        Ok(changes) => changes,
        Err(refused) => {
            // If something changed before something else was refused, the state is not that of the rows any more.
            if loaded.state.jobs.revision() == revision {
                cache.put(id, locked.version, loaded);
            }
            return Err(refused);
        }
    };
    let version = if changes == Changes::default() {
        locked.version
    } else {
        write(tx, id, locked.project_id, &loaded.state, Arc::make_mut(&mut loaded.ids), &changes, now)?
    };
    let ids = loaded.ids.clone();
    cache.put(id, version, loaded);
    Ok(Some(Transition { changes, upstream: locked.upstream, hooked: locked.hooked, known, ids }))
}
