//! What starts pipelines: trigger tokens and schedules.

use reqwest::Method;
use weir_api::Timestamp;
use weir_api::pipeline_schedules::{PipelineSchedule, PipelineScheduleDetails};
use weir_api::pipelines::PipelineBasic;
use weir_api::triggers::Trigger;

use crate::action::{Action, List, list, request};
use crate::client::Client;
use crate::projects::ProjectHandle;

list! {
    /// Schedules: `GET /projects/:id/pipeline_schedules`.
    ListPipelineSchedules<PipelineSchedule> {
        /// `active` or `inactive`.
        scope("scope"): &str,
    }
}

request! {
    /// A new trigger token: `POST /projects/:id/triggers`.
    CreateTrigger(Action<Trigger>) -> Trigger {
        /// When it ends.
        expires_at("expires_at"): Timestamp,
    }

    /// A new schedule, or a change of one.
    SetPipelineSchedule(Action<PipelineScheduleDetails>) -> PipelineScheduleDetails {
        /// A text for people.
        description("description"): &str,
        /// The branch or tag.
        ref_("ref"): &str,
        /// When, in five fields.
        cron("cron"): &str,
        /// Where that time holds; UTC unless given.
        cron_timezone("cron_timezone"): &str,
        /// Whether it runs.
        active("active"): bool,
    }
}

impl ProjectHandle {
    /// Its trigger tokens.
    pub fn triggers(&self) -> List<Trigger> {
        List::new(&self.client, self.under("triggers"))
    }

    /// One trigger token.
    pub fn trigger(&self, id: i64) -> Action<Trigger> {
        Action::json(&self.client, Method::GET, self.under(format_args!("triggers/{id}")))
    }

    /// Makes a trigger token.
    pub fn create_trigger(&self, description: &str) -> CreateTrigger {
        let action = Action::json(&self.client, Method::POST, self.under("triggers"));
        CreateTrigger(action).param("description", description)
    }

    /// Deletes a trigger token.
    pub fn delete_trigger(&self, id: i64) -> Action<()> {
        Action::done(&self.client, Method::DELETE, self.under(format_args!("triggers/{id}")))
    }

    /// Its schedules.
    pub fn pipeline_schedules(&self) -> ListPipelineSchedules {
        ListPipelineSchedules(List::new(&self.client, self.under("pipeline_schedules")))
    }

    /// Makes a schedule.
    pub fn create_pipeline_schedule(
        &self,
        description: &str,
        ref_name: &str,
        cron: &str,
    ) -> SetPipelineSchedule {
        let action = Action::json(&self.client, Method::POST, self.under("pipeline_schedules"));
        SetPipelineSchedule(action).description(description).ref_(ref_name).cron(cron)
    }

    /// A schedule. Nothing is sent yet.
    pub fn pipeline_schedule(&self, id: i64) -> PipelineScheduleHandle {
        let path = self.under(format_args!("pipeline_schedules/{id}"));
        PipelineScheduleHandle { client: self.client.clone(), path }
    }
}

/// A schedule and what it has.
#[derive(Debug, Clone)]
pub struct PipelineScheduleHandle {
    client: Client,
    path: String,
}

impl PipelineScheduleHandle {
    fn under(&self, rest: &str) -> String {
        format!("{}/{rest}", self.path)
    }

    /// The schedule, with its variables.
    pub fn get(&self) -> Action<PipelineScheduleDetails> {
        Action::json(&self.client, Method::GET, self.path.as_str())
    }

    /// Changes it.
    pub fn update(&self) -> SetPipelineSchedule {
        SetPipelineSchedule(Action::json(&self.client, Method::PUT, self.path.as_str()))
    }

    /// Deletes it.
    pub fn delete(&self) -> Action<()> {
        Action::done(&self.client, Method::DELETE, self.path.as_str())
    }

    /// Runs it now. The server does not say as which pipeline; see [`pipelines`](Self::pipelines).
    pub fn play(&self) -> Action<()> {
        Action::done(&self.client, Method::POST, self.under("play"))
    }

    /// Makes it run for the caller.
    pub fn take_ownership(&self) -> Action<PipelineScheduleDetails> {
        Action::json(&self.client, Method::POST, self.under("take_ownership"))
    }

    /// The pipelines that it started.
    pub fn pipelines(&self) -> List<PipelineBasic> {
        List::new(&self.client, self.under("pipelines"))
    }
}
