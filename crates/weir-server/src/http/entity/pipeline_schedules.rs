//! Pipeline schedules.

use weir_api::pipeline_schedules::{PipelineSchedule, PipelineScheduleDetails};
use weir_store::pipeline_schedules as rows;
use weir_store::projects::Project;
use weir_store::users::User;

use super::{pipelines, users};
use crate::app::pipeline_schedules::ScheduleDetails;
use crate::ctx::Ctx;

/// The form in lists.
pub fn listed(ctx: &Ctx, schedule: &rows::PipelineSchedule, owner: Option<&User>) -> PipelineSchedule {
    PipelineSchedule {
        id: schedule.id.0,
        description: schedule.description.clone(),
        ref_name: schedule.ref_name.clone(),
        cron: schedule.cron.clone(),
        cron_timezone: schedule.cron_timezone.clone(),
        next_run_at: schedule.next_run_at,
        active: schedule.active,
        created_at: Some(schedule.created_at),
        updated_at: Some(schedule.updated_at),
        owner: owner.map(|user| users::basic(ctx, user)),
        inputs: schedule.inputs.clone(),
    }
}

/// The whole.
pub fn full(ctx: &Ctx, project: &Project, details: &ScheduleDetails) -> PipelineScheduleDetails {
    PipelineScheduleDetails {
        schedule: listed(ctx, &details.schedule, details.owner.as_ref()),
        last_pipeline: details.last_pipeline.as_ref().map(|it| pipelines::basic(ctx, project, it)),
        variables: details.variables.clone(),
    }
}
