//! Pipeline schedules.
//!
//! A schedule is looked at when it is due, by whoever takes it first, who puts it off meanwhile. Its next run moves on
//! in the transaction that makes the pipeline, and only if nobody moved it before: so each run makes one pipeline,
//! and a crash loses none.

use weir_api::id::{PipelineId, PipelineScheduleId, ProjectId, UserId};
use weir_api::pipeline_schedules::ScheduleInput;
use weir_api::{Timestamp, VariableType};

use crate::columns::{Columns, all};
use crate::filter::Conditions;
use crate::variables::{GivenVariable, read_given};
use crate::{Error, Page, Result, Row, Tx, params};

/// A schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineSchedule {
    /// Its id.
    pub id: PipelineScheduleId,
    /// Where it makes pipelines.
    pub project_id: ProjectId,
    /// For whom its pipelines run; none if that user is deleted.
    pub owner_id: Option<UserId>,
    /// A text for people.
    pub description: String,
    /// The full name of the branch or tag.
    pub ref_name: String,
    /// When.
    pub cron: String,
    /// Where that time holds.
    pub cron_timezone: String,
    /// Whether it runs.
    pub active: bool,
    /// Inputs of its pipelines.
    pub inputs: Vec<ScheduleInput>,
    /// When it runs next, or would if it were active.
    pub next_run_at: Option<Timestamp>,
    /// How often the next run was tried.
    pub attempts: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When somebody last changed it.
    pub updated_at: Timestamp,
}

const COLUMNS: &str = "s.id, s.project_id, s.owner_id, s.description, s.ref, s.cron, s.cron_timezone, s.active, \
     s.inputs, s.next_run_at, s.attempts, s.created_at, s.updated_at";

fn read(row: &Row) -> Result<PipelineSchedule> {
    let mut c = Columns::of(row);
    Ok(PipelineSchedule {
        id: c.next()?,
        project_id: c.next()?,
        owner_id: c.next()?,
        description: c.next()?,
        ref_name: c.next()?,
        cron: c.next()?,
        cron_timezone: c.next()?,
        active: c.next()?,
        inputs: c.json()?,
        next_run_at: c.next()?,
        attempts: c.next()?,
        created_at: c.next()?,
        updated_at: c.next()?,
    })
}

/// Adds a schedule; its id and times are not used.
pub fn insert(tx: &mut Tx<'_>, new: &PipelineSchedule, now: Timestamp) -> Result<PipelineSchedule> {
    let inputs = serde_json::to_string(&new.inputs)?;
    let due_at = new.next_run_at.filter(|_| new.active);
    let id = tx.insert(
        "INSERT INTO pipeline_schedules (project_id, owner_id, description, ref, cron, cron_timezone, active, inputs,
             next_run_at, due_at, attempts, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $11) RETURNING id",
        params![
            new.project_id,
            new.owner_id,
            new.description,
            new.ref_name,
            new.cron,
            new.cron_timezone,
            new.active,
            inputs,
            new.next_run_at,
            due_at,
            now
        ],
    )?;
    find(tx, new.project_id, id)?.ok_or(Error::NoRow)
}

/// A project's schedule with an id.
pub fn find(
    tx: &mut Tx<'_>,
    project_id: ProjectId,
    id: PipelineScheduleId,
) -> Result<Option<PipelineSchedule>> {
    let sql = format!("SELECT {COLUMNS} FROM pipeline_schedules s WHERE s.id = $1 AND s.project_id = $2");
    tx.query_opt(&sql, params![id, project_id])?.as_ref().map(read).transpose()
}

fn conditions(project_id: &ProjectId, active: Option<bool>) -> Conditions<'_> {
    let mut c = Conditions::default();
    c.with("s.project_id = $?", project_id);
    match active {
        Some(true) => c.is("s.active"),
        Some(false) => c.is("NOT s.active"),
        None => {}
    }
    c
}

/// A project's schedules, or its active or other ones, the oldest first.
pub fn list(
    tx: &mut Tx<'_>,
    project_id: ProjectId,
    active: Option<bool>,
    page: Page,
) -> Result<Vec<PipelineSchedule>> {
    let mut c = conditions(&project_id, active);
    let (limit, offset) = (c.param(&page.limit), c.param(&page.offset));
    let sql = format!(
        "SELECT {COLUMNS} FROM pipeline_schedules s{} ORDER BY s.id LIMIT {limit} OFFSET {offset}",
        c.sql()
    );
    all(&tx.query(&sql, &c.params())?, read)
}

/// How many schedules [`list`] has.
pub fn count(tx: &mut Tx<'_>, project_id: ProjectId, active: Option<bool>) -> Result<i64> {
    let c = conditions(&project_id, active);
    tx.query_one(&format!("SELECT count(*) FROM pipeline_schedules s{}", c.sql()), &c.params())?.get(0)
}

/// Writes what people can change of a schedule, and its next run.
pub fn update(tx: &mut Tx<'_>, schedule: &PipelineSchedule, now: Timestamp) -> Result<()> {
    let inputs = serde_json::to_string(&schedule.inputs)?;
    let due_at = schedule.next_run_at.filter(|_| schedule.active);
    tx.execute(
        "UPDATE pipeline_schedules SET owner_id = $2, description = $3, ref = $4, cron = $5, cron_timezone = $6,
             active = $7, inputs = $8, next_run_at = $9, due_at = $10, attempts = 0, updated_at = $11
         WHERE id = $1",
        params![
            schedule.id,
            schedule.owner_id,
            schedule.description,
            schedule.ref_name,
            schedule.cron,
            schedule.cron_timezone,
            schedule.active,
            inputs,
            schedule.next_run_at,
            due_at,
            now
        ],
    )?;
    Ok(())
}

/// Removes a schedule; its pipelines stay. `false` if it is gone.
pub fn delete(tx: &mut Tx<'_>, id: PipelineScheduleId) -> Result<bool> {
    Ok(tx.execute("DELETE FROM pipeline_schedules WHERE id = $1", params![id])? == 1)
}

/// Lets a schedule run no more.
pub fn deactivate(tx: &mut Tx<'_>, id: PipelineScheduleId, now: Timestamp) -> Result<()> {
    let sql = "UPDATE pipeline_schedules SET active = FALSE, due_at = NULL, updated_at = $2 WHERE id = $1";
    tx.execute(sql, params![id, now])?;
    Ok(())
}

/// Lets the schedules of a user run no more.
pub fn deactivate_of(tx: &mut Tx<'_>, owner: UserId, now: Timestamp) -> Result<()> {
    let sql = "UPDATE pipeline_schedules SET active = FALSE, due_at = NULL, updated_at = $2
               WHERE owner_id = $1 AND active";
    tx.execute(sql, params![owner, now])?;
    Ok(())
}

/// Takes the schedules that are due and puts them off to `until`, so that nobody else takes them meanwhile.
pub fn take_due(
    tx: &mut Tx<'_>,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<PipelineSchedule>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM pipeline_schedules s WHERE s.due_at <= $1 ORDER BY s.due_at LIMIT $2{}",
        tx.for_update_skip_locked()
    );
    let schedules = all(&tx.query(&sql, params![now, limit])?, read)?;
    for schedule in &schedules {
        tx.execute(
            "UPDATE pipeline_schedules SET attempts = attempts + 1, due_at = $2 WHERE id = $1",
            params![schedule.id, until],
        )?;
    }
    Ok(schedules)
}

/// When the next schedule is due.
pub fn next_due(tx: &mut Tx<'_>) -> Result<Option<Timestamp>> {
    tx.query_one("SELECT min(due_at) FROM pipeline_schedules WHERE due_at IS NOT NULL", params![])?.get(0)
}

/// The run at `run` is done, `next` is the one after it. `false` if someone else was done first, or the schedule was
/// changed meanwhile: then a pipeline made in this transaction is one too many, and the transaction must not commit.
pub fn ran(tx: &mut Tx<'_>, id: PipelineScheduleId, run: Timestamp, next: Option<Timestamp>) -> Result<bool> {
    let sql = "UPDATE pipeline_schedules SET next_run_at = $3, due_at = $3, attempts = 0
               WHERE id = $1 AND next_run_at = $2 AND active";
    Ok(tx.execute(sql, params![id, run, next])? == 1)
}

/// Notes which schedule made a pipeline.
pub fn started(tx: &mut Tx<'_>, id: PipelineScheduleId, pipeline: PipelineId) -> Result<()> {
    tx.execute("UPDATE pipelines SET pipeline_schedule_id = $2 WHERE id = $1", params![pipeline, id])?;
    Ok(())
}

/// The schedule that made a pipeline, while it exists.
pub fn of_pipeline(tx: &mut Tx<'_>, pipeline: PipelineId) -> Result<Option<PipelineSchedule>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM pipelines p JOIN pipeline_schedules s ON s.id = p.pipeline_schedule_id
         WHERE p.id = $1"
    );
    tx.query_opt(&sql, params![pipeline])?.as_ref().map(read).transpose()
}

/// The newest pipeline that a schedule made.
pub fn last_pipeline(tx: &mut Tx<'_>, id: PipelineScheduleId) -> Result<Option<PipelineId>> {
    let sql = "SELECT max(id) FROM pipelines WHERE pipeline_schedule_id = $1";
    tx.query_one(sql, params![id])?.get(0)
}

/// A schedule's variables, in the order given.
pub fn variables(tx: &mut Tx<'_>, id: PipelineScheduleId) -> Result<Vec<GivenVariable>> {
    let sql = "SELECT key, value, variable_type, raw FROM pipeline_schedule_variables
               WHERE schedule_id = $1 ORDER BY id";
    all(&tx.query(sql, params![id])?, read_given)
}

/// Adds a variable. [`Error::Conflict`] if the schedule has one of this key.
pub fn insert_variable(tx: &mut Tx<'_>, id: PipelineScheduleId, new: &GivenVariable) -> Result<()> {
    tx.execute(
        "INSERT INTO pipeline_schedule_variables (schedule_id, key, value, variable_type, raw)
         VALUES ($1, $2, $3, $4, $5)",
        params![id, new.key, new.value, new.variable_type, new.raw],
    )?;
    Ok(())
}

/// Changes a variable.
pub fn update_variable(
    tx: &mut Tx<'_>,
    id: PipelineScheduleId,
    key: &str,
    value: &[u8],
    variable_type: VariableType,
) -> Result<()> {
    let sql = "UPDATE pipeline_schedule_variables SET value = $3, variable_type = $4
               WHERE schedule_id = $1 AND key = $2";
    tx.execute(sql, params![id, key, value, variable_type])?;
    Ok(())
}

/// Removes a variable.
pub fn delete_variable(tx: &mut Tx<'_>, id: PipelineScheduleId, key: &str) -> Result<()> {
    let sql = "DELETE FROM pipeline_schedule_variables WHERE schedule_id = $1 AND key = $2";
    tx.execute(sql, params![id, key])?;
    Ok(())
}
