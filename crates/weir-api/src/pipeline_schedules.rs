//! Pipeline schedules. Source: `lib/api/entities/ci/pipeline_schedule*.rb`.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::pipelines::{PipelineBasic, PipelineVariable};
use crate::users::UserBasic;

/// A schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineSchedule {
    /// The schedule's number.
    pub id: i64,
    /// A text for people.
    pub description: String,
    /// The branch or tag.
    #[serde(rename = "ref")]
    pub ref_name: String,
    /// When, in five fields.
    pub cron: String,
    /// Where that time holds.
    pub cron_timezone: String,
    /// When it runs next.
    pub next_run_at: Option<Timestamp>,
    /// Whether it runs.
    pub active: bool,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
    /// For whom its pipelines run.
    pub owner: Option<UserBasic>,
    /// Inputs of its pipelines.
    #[serde(default)]
    pub inputs: Vec<ScheduleInput>,
}

/// An input of a schedule's pipelines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleInput {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: serde_json::Value,
}

/// A schedule with what it ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineScheduleDetails {
    /// The schedule.
    #[serde(flatten)]
    pub schedule: PipelineSchedule,
    /// Its last pipeline.
    pub last_pipeline: Option<PipelineBasic>,
    /// Its variables; for those who may edit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<Vec<PipelineVariable>>,
}

crate::inherits!(PipelineScheduleDetails => schedule: PipelineSchedule);
