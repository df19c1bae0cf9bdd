//! Jobs and bridges, as rows. Their statuses change in [`pipelines::transition`](crate::pipelines::transition)
//! alone.

use std::collections::HashMap;

use weir_api::id::{JobId, PipelineId, ProjectId, RunnerId, RunnerManagerId, TagSetId, UserId};
use weir_api::{FailureReason, JobStatus, Timestamp};
use weir_compiler::plan;
use weir_engine::JobIndex;

use crate::columns::{Columns, all};
use crate::filter::Conditions;
use crate::secrets::TokenDigest;
use crate::{Page, Result, Row, Sort, Tx, bulk, params};

/// A job or bridge.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and a column of its own")]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Its pipeline.
    pub pipeline_id: PipelineId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its place in the pipeline's state.
    pub index: JobIndex,
    /// Which definition it runs, shared by all attempts.
    pub definition: u32,
    /// Its stage's place.
    pub stage: u32,
    /// Its stage's name.
    pub stage_name: String,
    /// Its full name.
    pub name: String,
    /// Whether it is a bridge.
    pub bridge: bool,
    /// Whether its ref was protected when the pipeline was made.
    pub protected: bool,
    /// Its tags.
    pub tag_set_id: TagSetId,
    /// Its environment's name, with variables in it as written.
    pub environment: Option<String>,
    /// Who runs it.
    pub user_id: Option<UserId>,
    /// Its status.
    pub status: JobStatus,
    /// Whether a newer attempt exists.
    pub retried: bool,
    /// The attempt that it repeats.
    pub retry_of: Option<JobIndex>,
    /// Whether failure is a warning.
    pub allow_failure: bool,
    /// Its runner lets `after_script` run on cancel.
    pub cancel_gracefully: bool,
    /// Why it failed.
    pub failure_reason: Option<FailureReason>,
    /// The exit code that the runner sent.
    pub exit_code: Option<i32>,
    /// Effective timeout in seconds, known once it started.
    pub timeout: Option<u64>,
    /// When a delayed job becomes due.
    pub scheduled_at: Option<Timestamp>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// Last move to pending.
    pub queued_at: Option<Timestamp>,
    /// Move to running.
    pub started_at: Option<Timestamp>,
    /// Move to success, failed or canceled.
    pub finished_at: Option<Timestamp>,
    /// Last status change, or sign of life from the runner.
    pub updated_at: Timestamp,
    /// When artifacts and trace were erased.
    pub erased_at: Option<Timestamp>,
    /// Who erased them.
    pub erased_by: Option<UserId>,
    /// Percent.
    pub coverage: Option<f64>,
    /// Who has or had it.
    pub runner_id: Option<RunnerId>,
    /// Which of the runner's processes.
    pub runner_manager_id: Option<RunnerManagerId>,
    /// Whether its trace may hold secrets because debugging was on.
    pub debug_trace: bool,
    /// When its artifacts expire.
    pub artifacts_expire_at: Option<Timestamp>,
    /// Whether another system runs it.
    pub external: bool,
    /// Where the other system shows it.
    pub target_url: Option<String>,
    /// What the other system says of it.
    pub description: Option<String>,
}

pub(crate) const COLUMNS: &str = "j.id, j.pipeline_id, j.project_id, j.position, j.definition, j.stage, j.stage_name, \
     j.name, j.bridge, j.protected, j.tag_set_id, j.environment, j.user_id, j.status, j.retried, j.retry_of, \
     j.allow_failure, j.cancel_gracefully, j.failure_reason, j.exit_code, j.timeout, j.scheduled_at, \
     j.created_at, j.queued_at, j.started_at, j.finished_at, j.updated_at, j.erased_at, j.erased_by, \
     j.coverage, j.runner_id, j.runner_manager_id, j.debug_trace, j.artifacts_expire_at, \
     j.external, j.target_url, j.description";

pub(crate) fn read(row: &Row) -> Result<Job> {
    let mut c = Columns::of(row);
    Ok(Job {
        id: c.next()?,
        pipeline_id: c.next()?,
        project_id: c.next()?,
        index: JobIndex(c.next()?),
        definition: c.next()?,
        stage: c.next()?,
        stage_name: c.next()?,
        name: c.next()?,
        bridge: c.next()?,
        protected: c.next()?,
        tag_set_id: c.next()?,
        environment: c.next()?,
        user_id: c.next()?,
        status: c.next()?,
        retried: c.next()?,
        retry_of: c.next::<Option<u32>>()?.map(JobIndex),
        allow_failure: c.next()?,
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
        erased_by: c.next()?,
        coverage: c.next()?,
        runner_id: c.next()?,
        runner_manager_id: c.next()?,
        debug_trace: c.next()?,
        artifacts_expire_at: c.next()?,
        external: c.next()?,
        target_url: c.next()?,
        description: c.next()?,
    })
}

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only of this project.
    pub project_id: Option<ProjectId>,
    /// Only of this pipeline.
    pub pipeline_id: Option<PipelineId>,
    /// Only those that this runner has or had.
    pub runner_id: Option<RunnerId>,
    /// Only those that the runner's process of this id has or had.
    pub runner_manager_id: Option<RunnerManagerId>,
    /// Only with one of these statuses; an empty list is any.
    pub scope: Vec<JobStatus>,
    /// Only bridges, or only jobs; external ones are neither.
    pub bridge: Option<bool>,
    /// Leave out attempts that were retried.
    pub latest_only: bool,
    /// Only those with a smaller id: the next page by keyset.
    pub id_before: Option<JobId>,
    /// Only of this name.
    pub name: Option<String>,
    /// The direction of the ids; the default is the newest first.
    pub sort: Sort,
}

fn conditions(filter: &Filter) -> Conditions<'_> {
    let mut c = Conditions::default();
    c.maybe("j.project_id = $?", filter.project_id.as_ref());
    c.maybe("j.pipeline_id = $?", filter.pipeline_id.as_ref());
    c.maybe("j.runner_id = $?", filter.runner_id.as_ref());
    c.maybe("j.runner_manager_id = $?", filter.runner_manager_id.as_ref());
    c.any("j.status", &filter.scope);
    c.maybe("j.bridge = $? AND NOT j.external", filter.bridge.as_ref());
    if filter.latest_only {
        c.is("NOT j.retried");
    }
    c.maybe("j.id < $?", filter.id_before.as_ref());
    c.maybe("j.name = $?", filter.name.as_ref());
    c
}

/// Jobs in the order of their ids.
pub fn list(tx: &mut Tx<'_>, filter: &Filter, page: Page) -> Result<Vec<Job>> {
    let mut c = conditions(filter);
    let (limit, offset) = (c.param(&page.limit), c.param(&page.offset));
    let sql = format!(
        "SELECT {COLUMNS} FROM jobs j{} ORDER BY j.id {} LIMIT {limit} OFFSET {offset}",
        c.sql(),
        filter.sort.sql()
    );
    all(&tx.query(&sql, &c.params())?, read)
}

/// How many jobs [`list`] has.
pub fn count(tx: &mut Tx<'_>, filter: &Filter) -> Result<i64> {
    let c = conditions(filter);
    tx.query_one(&format!("SELECT count(*) FROM jobs j{}", c.sql()), &c.params())?.get(0)
}

/// The job or bridge with an id.
pub fn find(tx: &mut Tx<'_>, id: JobId) -> Result<Option<Job>> {
    let sql = format!("SELECT {COLUMNS} FROM jobs j WHERE j.id = $1");
    tx.query_opt(&sql, params![id])?.as_ref().map(read).transpose()
}

/// Those of the ids that exist, in no order.
pub fn find_all(tx: &mut Tx<'_>, ids: &[JobId]) -> Result<Vec<Job>> {
    let sql = |ids: &str| format!("SELECT {COLUMNS} FROM jobs j WHERE j.id IN ({ids})");
    all(&bulk::each_of(tx, ids, sql)?, read)
}

/// The job whose token has this digest, whatever its status: the token opens doors only while the job runs, but
/// a runner that comes late is told what became of the job.
pub fn find_by_token(tx: &mut Tx<'_>, digest: &TokenDigest) -> Result<Option<Job>> {
    let sql = format!("SELECT {COLUMNS} FROM jobs j WHERE j.token_digest = $1");
    tx.query_opt(&sql, params![digest])?.as_ref().map(read).transpose()
}

/// The pipeline of a job and the job's place in it, as [`transition`](crate::pipelines::transition) wants them.
pub fn locate(tx: &mut Tx<'_>, id: JobId) -> Result<Option<(PipelineId, JobIndex)>> {
    let row = tx.query_opt("SELECT pipeline_id, position FROM jobs WHERE id = $1", params![id])?;
    row.map(|row| Ok((row.get(0)?, JobIndex(row.get(1)?)))).transpose()
}

/// What a job runs.
pub fn definition(tx: &mut Tx<'_>, job: &Job) -> Result<plan::Job> {
    let sql = "SELECT content FROM job_definitions WHERE pipeline_id = $1 AND position = $2";
    tx.query_one(sql, params![job.pipeline_id, job.definition])?.json(0)
}

/// What the jobs of a pipeline run, by [`Job::definition`].
pub fn definitions(tx: &mut Tx<'_>, id: PipelineId) -> Result<HashMap<u32, plan::Job>> {
    let sql = "SELECT position, content FROM job_definitions WHERE pipeline_id = $1";
    tx.query(sql, params![id])?.iter().map(|row| Ok((row.get(0)?, row.json(1)?))).collect()
}

/// The newest attempts of a pipeline's jobs with these names, in no order. For `needs` and `dependencies`.
pub fn named(tx: &mut Tx<'_>, id: PipelineId, names: &[String]) -> Result<Vec<Job>> {
    let sql = |names: &str| {
        format!(
            "SELECT {COLUMNS} FROM jobs j WHERE j.pipeline_id = {id} AND NOT j.retried AND j.name IN ({names})"
        )
    };
    all(&bulk::each_of(tx, names, sql)?, read)
}

/// Who takes a job.
#[derive(Debug, Clone, Copy)]
pub struct Assignment {
    /// The runner.
    pub runner_id: RunnerId,
    /// Its process.
    pub runner_manager_id: Option<RunnerManagerId>,
    /// Whether it is an instance runner: then the job counts against its project's turn.
    pub on_instance_runner: bool,
    /// The digest of the job's token.
    pub token: TokenDigest,
}

/// Writes who takes a job. In the transaction that applies [`Picked`](weir_engine::Event::Picked), before it.
pub fn assign(tx: &mut Tx<'_>, id: JobId, to: &Assignment) -> Result<()> {
    tx.execute(
        "UPDATE jobs SET runner_id = $2, runner_manager_id = $3, on_instance_runner = $4, token_digest = $5
         WHERE id = $1",
        params![id, to.runner_id, to.runner_manager_id, to.on_instance_runner, to.token],
    )?;
    Ok(())
}

/// Sets who runs jobs: whoever retries or plays one.
pub fn set_user(tx: &mut Tx<'_>, ids: &[JobId], user_id: UserId) -> Result<()> {
    for id in ids {
        tx.execute("UPDATE jobs SET user_id = $2 WHERE id = $1", params![id, user_id])?;
    }
    Ok(())
}

/// Sets a job's coverage in percent.
pub fn set_coverage(tx: &mut Tx<'_>, id: JobId, coverage: Option<f64>) -> Result<()> {
    tx.execute("UPDATE jobs SET coverage = $2 WHERE id = $1", params![id, coverage])?;
    Ok(())
}

/// Notes that a job's trace may hold secrets.
pub fn set_debug_trace(tx: &mut Tx<'_>, id: JobId) -> Result<()> {
    tx.execute("UPDATE jobs SET debug_trace = TRUE WHERE id = $1 AND NOT debug_trace", params![id])?;
    Ok(())
}

/// Notes who erased a job.
pub fn set_erased_by(tx: &mut Tx<'_>, id: JobId, user_id: Option<UserId>) -> Result<()> {
    tx.execute("UPDATE jobs SET erased_by = $2 WHERE id = $1", params![id, user_id])?;
    Ok(())
}
