//! Pipeline schedules: kept, changed, played. Source: `app/services/ci/pipeline_schedules/`,
//! `app/policies/ci/pipeline_schedule_policy.rb`.

pub mod run;
mod variables;

use serde_json::{Map, Value, json};
use weir_api::Timestamp;
use weir_api::id::PipelineScheduleId;
use weir_api::pipeline_schedules::ScheduleInput;
use weir_api::pipelines::PipelineVariable;
use weir_engine::cron::{Cron, Zone};
use weir_engine::trust::Act;
use weir_git::RefName;
use weir_store::pipeline_schedules::{self, PipelineSchedule};
use weir_store::pipelines::{self, Pipeline};
use weir_store::users::{self, User};

use super::access::Access;
use super::{commits, trust};
use crate::auth::Action;
use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

pub use variables::{add_variable, change_variable, read_variables, remove_variable, variable};

/// A schedule with what belongs to it.
#[derive(Debug, Clone)]
pub struct ScheduleDetails {
    /// The schedule.
    pub schedule: PipelineSchedule,
    /// Its owner.
    pub owner: Option<User>,
    /// Its newest pipeline.
    pub last_pipeline: Option<Pipeline>,
    /// Its variables, for those who may see them.
    pub variables: Option<Vec<PipelineVariable>>,
}

/// What is asked for with a schedule. What is not given stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// A text for people.
    pub description: Option<String>,
    /// The branch or tag.
    pub git_ref: Option<String>,
    /// When.
    pub cron: Option<String>,
    /// Where that time holds.
    pub cron_timezone: Option<String>,
    /// Whether it runs.
    pub active: Option<bool>,
    /// Inputs by name; those without a value go.
    pub inputs: Vec<(String, Option<Value>)>,
}

/// The most inputs of a schedule. Source: `Ci::Pipeline::INPUTS_LIMIT`.
const MAX_INPUTS: usize = 20;

/// The next run of a cron line: a whole minute, even if the line tells seconds. None if the line or the zone is wrong.
fn next_run(cron: &str, zone: &str, now: Timestamp) -> Option<Timestamp> {
    let (cron, zone): (Cron, Zone) = (cron.parse().ok()?, zone.parse().ok()?);
    let next = cron.next(&zone, now)?;
    Some(next.plus_secs((60 - next.as_secs().rem_euclid(60)) % 60))
}

/// Whether the caller may change whatever is the schedule's: its owner, while a Developer, and Maintainers.
fn may_administer(access: &Access, user: &User, schedule: &PipelineSchedule) -> bool {
    access.standing.may(Action::AdminSchedules) || is_owner(access, user, schedule)
}

fn is_owner(access: &Access, user: &User, schedule: &PipelineSchedule) -> bool {
    schedule.owner_id == Some(user.id) && access.standing.may(Action::UpdateJob)
}

fn demand(allowed: bool) -> Result<()> {
    if allowed { Ok(()) } else { Err(Error::Forbidden(None)) }
}

/// Whether the caller may run something on the ref of a schedule.
async fn may_use_ref(ctx: &Ctx, access: &Access, git_ref: &str) -> Result<bool> {
    let name =
        if git_ref.starts_with("refs/") { git_ref.to_owned() } else { format!("refs/heads/{git_ref}") };
    let Ok(name) = RefName::new(name) else { return Ok(true) };
    let access = access.clone();
    let judged = ctx.db.read(move |tx| trust::ask_ref(tx, &access, &name, Act::Schedule)).await?;
    Ok(judged.is_ok())
}

/// Demands that the caller may change the schedule itself: its owner, and administrators.
async fn demand_update(ctx: &Ctx, access: &Access, user: &User, schedule: &PipelineSchedule) -> Result<()> {
    let may = user.admin || is_owner(access, user, schedule);
    demand(may && may_use_ref(ctx, access, &schedule.ref_name).await?)
}

/// One page of a project's schedules with their owners, and how many there are.
pub async fn list(
    ctx: &Ctx,
    access: &Access,
    active: Option<bool>,
    page: Page,
) -> Result<(Vec<(PipelineSchedule, Option<User>)>, u64)> {
    let project = access.project.id;
    ctx.db
        .read(move |tx| {
            let found = pipeline_schedules::list(tx, project, active, page.rows())?;
            let ids: Vec<_> = found.iter().filter_map(|schedule| schedule.owner_id).collect();
            let owners = users::find_all(tx, &ids)?;
            let owner = |id| owners.iter().find(|user| Some(user.id) == id).cloned();
            let found =
                found.into_iter().map(|schedule| (schedule.clone(), owner(schedule.owner_id))).collect();
            Ok::<_, Error>((found, pipeline_schedules::count(tx, project, active)?.unsigned_abs()))
        })
        .await
}

/// The schedule of a project.
///
/// # Errors
/// 404.
pub async fn row(ctx: &Ctx, access: &Access, id: PipelineScheduleId) -> Result<PipelineSchedule> {
    let project = access.project.id;
    let found: Option<_> = ctx.db.read(move |tx| pipeline_schedules::find(tx, project, id)).await?;
    found.ok_or(Error::NotFound("Pipeline Schedule"))
}

async fn details(ctx: &Ctx, schedule: PipelineSchedule) -> Result<ScheduleDetails> {
    ctx.db
        .read(move |tx| {
            let last = pipeline_schedules::last_pipeline(tx, schedule.id)?;
            let last_pipeline = last.map(|id| pipelines::find(tx, id)).transpose()?.flatten();
            let owner = schedule.owner_id.map(|id| users::find(tx, id)).transpose()?.flatten();
            Ok(ScheduleDetails { schedule: schedule.clone(), owner, last_pipeline, variables: None })
        })
        .await
}

/// One schedule; with its variables for those who may see them.
///
/// # Errors
/// 404.
pub async fn find(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    id: PipelineScheduleId,
) -> Result<ScheduleDetails> {
    let mut found = details(ctx, row(ctx, access, id).await?).await?;
    if may_administer(access, user, &found.schedule) {
        found.variables = Some(read_variables(ctx, access, user, id).await?);
    }
    Ok(found)
}

/// Makes a schedule that runs for its maker.
///
/// # Errors
/// 400 in GitLab's words.
pub async fn create(ctx: &Ctx, access: &Access, user: &User, change: Change) -> Result<ScheduleDetails> {
    let now = ctx.now();
    let mut schedule = PipelineSchedule {
        id: PipelineScheduleId(0),
        project_id: access.project.id,
        owner_id: Some(user.id),
        description: String::new(),
        ref_name: String::new(),
        cron: String::new(),
        cron_timezone: "UTC".to_owned(),
        active: true,
        inputs: Vec::new(),
        next_run_at: None,
        attempts: 0,
        created_at: now,
        updated_at: now,
    };
    apply(ctx, access, &mut schedule, change, "create").await?;
    let schedule = ctx.db.write(move |tx| pipeline_schedules::insert(tx, &schedule, now)).await?;
    ctx.bus.wake(Wake::Schedules);
    details(ctx, schedule).await
}

/// Changes a schedule.
///
/// # Errors
/// 404; 403 for others than its owner and administrators; 400 in GitLab's words.
pub async fn update(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    id: PipelineScheduleId,
    change: Change,
) -> Result<ScheduleDetails> {
    let mut schedule = row(ctx, access, id).await?;
    demand_update(ctx, access, user, &schedule).await?;
    apply(ctx, access, &mut schedule, change, "update").await?;
    save(ctx, access, schedule).await
}

async fn save(ctx: &Ctx, access: &Access, schedule: PipelineSchedule) -> Result<ScheduleDetails> {
    let (id, now) = (schedule.id, ctx.now());
    ctx.db.write(move |tx| pipeline_schedules::update(tx, &schedule, now)).await?;
    ctx.bus.wake(Wake::Schedules);
    details(ctx, row(ctx, access, id).await?).await
}

/// Puts a change into a schedule and checks the whole.
async fn apply(
    ctx: &Ctx,
    access: &Access,
    schedule: &mut PipelineSchedule,
    change: Change,
    verb: &str,
) -> Result<()> {
    fn set<T>(field: &mut T, value: Option<T>) {
        if let Some(value) = value {
            *field = value;
        }
    }
    set(&mut schedule.description, change.description);
    set(&mut schedule.ref_name, change.git_ref);
    set(&mut schedule.cron, change.cron.map(|cron| cron.trim().to_owned()));
    set(&mut schedule.cron_timezone, change.cron_timezone);
    set(&mut schedule.active, change.active);
    for (name, value) in change.inputs {
        let at = schedule.inputs.iter().position(|input| input.name == name);
        match (at, value) {
            (Some(at), Some(value)) => schedule.inputs[at].value = value,
            (Some(at), None) => drop(schedule.inputs.remove(at)),
            (None, Some(value)) => schedule.inputs.push(ScheduleInput { name, value }),
            (None, None) => {}
        }
    }
    if !may_use_ref(ctx, access, &schedule.ref_name).await? {
        return Err(Error::base(format!(
            "The current user is not authorized to {verb} the pipeline schedule"
        )));
    }
    schedule.ref_name = full_ref(ctx, access, &schedule.ref_name).await?;
    schedule.next_run_at = next_run(&schedule.cron, &schedule.cron_timezone, ctx.now());
    check(schedule)
}

/// The full name of a branch or tag. Source: `Ci::PipelineSchedule#expand_short_ref`.
async fn full_ref(ctx: &Ctx, access: &Access, git_ref: &str) -> Result<String> {
    let is_full = |prefix: &str| git_ref.strip_prefix(prefix).is_some_and(|name| !name.is_empty());
    if is_full("refs/heads/") || is_full("refs/tags/") {
        return Ok(git_ref.to_owned());
    }
    match commits::branch_or_tag(ctx, &access.project, git_ref).await {
        Ok((name, _)) => Ok(name.as_str().to_owned()),
        Err(Error::Invalid(_)) => Err(Error::field("ref", "is ambiguous")),
        Err(other) => Err(other),
    }
}

fn check(schedule: &PipelineSchedule) -> Result<()> {
    let mut errors: Map<String, Value> = Map::new();
    let mut complain = |field: &str, complaints: Vec<&str>| {
        if !complaints.is_empty() {
            errors.insert(field.to_owned(), json!(complaints));
        }
    };
    let blank = |text: &str| text.trim().is_empty().then_some("can't be blank");
    let (cron, zone) = (schedule.cron.as_str(), schedule.cron_timezone.as_str());
    let wrong_zone = !zone.is_empty() && zone.parse::<Zone>().is_err();
    // A line of which no run is in sight is as good as none.
    let wrong_cron =
        cron.parse::<Cron>().is_err() || (!wrong_zone && !zone.is_empty() && schedule.next_run_at.is_none());
    let syntax = |wrong: bool| wrong.then_some("syntax is invalid");
    complain("cron", syntax(wrong_cron).into_iter().chain(blank(cron)).collect());
    complain("cron_timezone", syntax(wrong_zone).into_iter().chain(blank(zone)).collect());
    complain("description", blank(&schedule.description).into_iter().collect());
    if schedule.inputs.len() > MAX_INPUTS {
        complain("inputs", vec!["exceeds the limit of 20."]);
    }
    if errors.is_empty() { Ok(()) } else { Err(Error::Invalid(Value::Object(errors))) }
}

/// Makes the caller the owner. The flag says whether that changed anything.
///
/// # Errors
/// 404; 403 for others than the owner and Maintainers.
pub async fn take_ownership(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    id: PipelineScheduleId,
) -> Result<(ScheduleDetails, bool)> {
    let mut schedule = row(ctx, access, id).await?;
    demand(may_administer(access, user, &schedule))?;
    if schedule.owner_id == Some(user.id) {
        return Ok((details(ctx, schedule).await?, false));
    }
    schedule.owner_id = Some(user.id);
    schedule.next_run_at = next_run(&schedule.cron, &schedule.cron_timezone, ctx.now());
    Ok((save(ctx, access, schedule).await?, true))
}

/// Deletes a schedule; its pipelines stay.
///
/// # Errors
/// 404; 403 for others than the owner and Maintainers; 412 if it changed after `unmodified_since`.
pub async fn delete(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    id: PipelineScheduleId,
    unmodified_since: Option<Timestamp>,
) -> Result<()> {
    let schedule = row(ctx, access, id).await?;
    demand(may_administer(access, user, &schedule))?;
    if unmodified_since.is_some_and(|since| schedule.updated_at > since) {
        return Err(Error::PreconditionFailed);
    }
    ctx.db.write(move |tx| pipeline_schedules::delete(tx, id)).await?;
    Ok(())
}
