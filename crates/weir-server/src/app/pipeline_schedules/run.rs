//! The runs of schedules. Source: `app/workers/run_pipeline_schedule_worker.rb`.

use weir_api::id::PipelineScheduleId;
use weir_api::{PipelineSource, Timestamp, UserState};
use weir_store::pipeline_schedules::{self, PipelineSchedule};
use weir_store::users::{self, User};
use weir_store::{Tx, projects};

use super::{demand, may_use_ref, next_run, row};
use crate::app::access::{self, Access};
use crate::app::pipelines::{self, NewVariable, Origin, Start};
use crate::app::{commits, facts};
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// Seconds that a run may take before somebody else may try it.
const LEASE: i64 = 300;
/// Schedules taken at once.
const BATCH: i64 = 20;
/// A run is given up after so many attempts; the next one comes nevertheless.
const MAX_ATTEMPTS: u32 = 5;

/// What a pipeline takes from the schedule that makes it.
#[derive(Debug, Clone)]
pub struct Scheduled {
    /// The schedule.
    pub id: PipelineScheduleId,
    /// Its text for people.
    pub description: String,
    /// Its variables.
    pub variables: Vec<NewVariable>,
    /// The run, and the one after it; none if somebody plays the schedule.
    pub run: Option<(Timestamp, Option<Timestamp>)>,
}

/// Runs what is due. Returns when the next schedule is.
pub async fn sweep(ctx: &Ctx) -> Result<Option<Timestamp>> {
    loop {
        let now = ctx.now();
        let next = ctx.db.read(pipeline_schedules::next_due).await?;
        // A look writes nothing; only what is due costs a commit.
        if next.is_none_or(|due| due > now) {
            return Ok(next);
        }
        let until = now.plus_secs(LEASE);
        let due = ctx.db.write(move |tx| pipeline_schedules::take_due(tx, now, until, BATCH)).await?;
        for schedule in due {
            attempt(ctx, &schedule).await?;
        }
    }
}

/// Tries the next run. However many runs were missed, there is one.
async fn attempt(ctx: &Ctx, schedule: &PipelineSchedule) -> Result<()> {
    let Some(run) = schedule.next_run_at else { return Ok(()) };
    let next = next_run(&schedule.cron, &schedule.cron_timezone, ctx.now());
    match start(ctx, schedule, None, Some((run, next))).await {
        Ok(()) => Ok(()),
        // Somebody else was faster, or changed the schedule.
        Err(Error::Conflict(_)) => Ok(()),
        Err(error) => {
            tracing::warn!(%error, schedule = schedule.id.0, "a schedule made no pipeline");
            // A failure of ours is tried again once the lease is over.
            let again = matches!(error, Error::Internal(_)) && schedule.attempts + 1 < MAX_ATTEMPTS;
            if !again {
                let id = schedule.id;
                ctx.db.write(move |tx| pipeline_schedules::ran(tx, id, run, next)).await?;
            }
            Ok(())
        }
    }
}

/// `POST …/play`: runs a schedule now, for the caller. Whether that makes a pipeline is not told.
///
/// # Errors
/// 404; 403 for those who may not run pipelines on its ref.
pub async fn play(ctx: &Ctx, access: &Access, user: &User, id: PipelineScheduleId) -> Result<()> {
    let schedule = row(ctx, access, id).await?;
    let may =
        access.standing.may(Action::CreatePipeline) && may_use_ref(ctx, access, &schedule.ref_name).await?;
    demand(may)?;
    match start(ctx, &schedule, Some((access, user)), None).await {
        Err(error @ Error::Internal(_)) => Err(error),
        Err(error) => {
            tracing::info!(%error, schedule = id.0, "a played schedule made no pipeline");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Makes the pipeline of a schedule, for its owner or whoever plays it. If the owner may make none any more, the
/// schedule ends.
async fn start(
    ctx: &Ctx,
    schedule: &PipelineSchedule,
    player: Option<(&Access, &User)>,
    run: Option<(Timestamp, Option<Timestamp>)>,
) -> Result<()> {
    let (row, now) = (schedule.clone(), ctx.now());
    let (owner, variables) = ctx
        .db
        .read(move |tx| Ok::<_, Error>((owner(tx, &row, now)?, pipeline_schedules::variables(tx, row.id)?)))
        .await?;
    let Some((access, user)) = owner else {
        let id = schedule.id;
        tracing::warn!(schedule = id.0, "the owner of a schedule may make no pipelines: it is deactivated");
        ctx.db.write(move |tx| pipeline_schedules::deactivate(tx, id, now)).await?;
        return Ok(());
    };
    let (access, user) = player.unwrap_or((&access, &user));
    if access.project.archived {
        return Err(Error::base("Project or ancestors are archived"));
    }
    let (name, commit) = commits::branch_or_tag(ctx, &access.project, &schedule.ref_name).await?;
    let variables = variables.iter().map(|row| {
        let variable = facts::given(ctx, row)?;
        let value = variable.value.unwrap_or_default();
        Ok(NewVariable { key: variable.key, value, variable_type: row.variable_type, raw: row.raw })
    });
    let scheduled = Scheduled {
        id: schedule.id,
        description: schedule.description.clone(),
        variables: variables.collect::<Result<_>>()?,
        run,
    };
    let start = Start {
        source: PipelineSource::Schedule,
        origin: Origin::Scheduled(Box::new(scheduled)),
        name,
        commit,
        variables: Vec::new(),
        inputs: schedule.inputs.iter().map(|input| (input.name.clone(), input.value.clone())).collect(),
        config: None,
    };
    pipelines::create(ctx, access, user, start).await.map(drop)
}

/// The owner of a schedule, if that is somebody who may make pipelines there.
fn owner(tx: &mut Tx<'_>, schedule: &PipelineSchedule, now: Timestamp) -> Result<Option<(Access, User)>> {
    let user = schedule.owner_id.map(|id| users::find(tx, id)).transpose()?.flatten();
    let Some(user) = user.filter(|user| user.state == UserState::Active) else { return Ok(None) };
    let project = projects::find(tx, schedule.project_id)?.filter(|project| !project.deleting);
    let Some(project) = project else { return Ok(None) };
    let standing = access::standing(tx, Some(&user), &project, now)?;
    Ok(standing.may(Action::CreatePipeline).then_some((Access { project, standing }, user)))
}
