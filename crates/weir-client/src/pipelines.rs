//! Pipelines of a project.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use weir_api::id::PipelineId;
use weir_api::jobs::{Bridge, Job};
use weir_api::pipelines::{Pipeline, PipelineBasicWithMetadata, PipelineVariable};
use weir_api::test_reports::{TestReport, TestReportSummary};
use weir_api::{JobStatus, PipelineSource, Timestamp, VariableType};

use crate::action::{Action, List, list};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::projects::ProjectHandle;

list! {
    /// Pipelines, newest first: `GET /projects/:id/pipelines`.
    ListPipelines<PipelineBasicWithMetadata> {
        /// `running`, `pending`, `finished`, `branches` or `tags`; the last two give the latest of each ref.
        scope("scope"): &str,
        /// With this status.
        status("status"): JobStatus,
        /// Of this branch or tag.
        ref_("ref"): &str,
        /// Of this commit.
        sha("sha"): &str,
        /// From there.
        source("source"): PipelineSource,
        /// With errors in the configuration, or without.
        yaml_errors("yaml_errors"): bool,
        /// Started by this user.
        username("username"): &str,
        /// With this name.
        name("name"): &str,
        /// Changed after this.
        updated_after("updated_after"): Timestamp,
        /// Changed before this.
        updated_before("updated_before"): Timestamp,
        /// Made after this.
        created_after("created_after"): Timestamp,
        /// Made before this.
        created_before("created_before"): Timestamp,
        /// `id`, `status`, `ref`, `updated_at` or `user_id`.
        order_by("order_by"): &str,
        /// `asc` or `desc`.
        sort("sort"): &str,
    }

    /// The jobs of a pipeline, newest first: `GET /projects/:id/pipelines/:id/jobs`.
    ListPipelineJobs<Job> {
        /// With one of these statuses.
        scope("scope"): &[JobStatus],
        /// Whether those that were run again are among them.
        include_retried("include_retried"): bool,
    }

    /// The bridges of a pipeline: `GET /projects/:id/pipelines/:id/bridges`.
    ListBridges<Bridge> {
        /// With one of these statuses.
        scope("scope"): &[JobStatus],
    }
}

/// A new pipeline: `POST /projects/:id/pipeline`.
#[must_use = "nothing is sent before `send` is awaited"]
#[derive(Clone)]
pub struct CreatePipeline {
    action: Action<Pipeline>,
    variables: Vec<Value>,
    inputs: serde_json::Map<String, Value>,
}

/// Values of variables are not shown.
impl std::fmt::Debug for CreatePipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.action.fmt(f)
    }
}

impl CreatePipeline {
    /// Adds a variable.
    pub fn variable(self, key: &str, value: &str) -> Self {
        self.typed_variable(key, value, VariableType::EnvVar)
    }

    /// Adds a variable of a type.
    pub fn typed_variable(mut self, key: &str, value: &str, kind: VariableType) -> Self {
        self.variables.push(json!({ "key": key, "value": value, "variable_type": kind }));
        self
    }

    /// Adds an input.
    pub fn input(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.inputs.insert(name.to_owned(), value.into());
        self
    }

    /// Makes the pipeline.
    pub async fn send(self) -> Result<Pipeline> {
        let mut action = self.action;
        if !self.variables.is_empty() {
            action = action.param("variables", self.variables);
        }
        if !self.inputs.is_empty() {
            action = action.param("inputs", self.inputs);
        }
        action.send().await
    }
}

/// A pipeline by a trigger token: `POST /projects/:id/trigger/pipeline`.
#[must_use = "nothing is sent before `send` is awaited"]
#[derive(Clone)]
pub struct TriggerPipeline {
    action: Action<Pipeline>,
    variables: serde_json::Map<String, Value>,
}

/// Values of variables are not shown.
impl std::fmt::Debug for TriggerPipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.action.fmt(f)
    }
}

impl TriggerPipeline {
    /// Adds a variable.
    pub fn variable(mut self, key: &str, value: &str) -> Self {
        self.variables.insert(key.to_owned(), value.into());
        self
    }

    /// Makes the pipeline.
    pub async fn send(self) -> Result<Pipeline> {
        self.action.param("variables", self.variables).send().await
    }
}

impl ProjectHandle {
    /// The project's pipelines.
    pub fn pipelines(&self) -> ListPipelines {
        ListPipelines(List::new(&self.client, self.under("pipelines")))
    }

    /// Makes a pipeline for a branch or tag.
    pub fn create_pipeline(&self, ref_name: &str) -> CreatePipeline {
        let action = Action::json(&self.client, Method::POST, self.under("pipeline")).param("ref", ref_name);
        CreatePipeline { action, variables: Vec::new(), inputs: serde_json::Map::new() }
    }

    /// Makes a pipeline with a trigger token, or a job's token; the client needs none of its own.
    pub fn trigger_pipeline(&self, ref_name: &str, token: &str) -> TriggerPipeline {
        let action = Action::json(&self.client, Method::POST, self.under("trigger/pipeline"));
        let action = action.param("ref", ref_name).param("token", token);
        TriggerPipeline { action, variables: serde_json::Map::new() }
    }

    /// The latest pipeline of the last commit of a branch or tag. If there is none, GitLab answers 403.
    pub fn latest_pipeline(&self, ref_name: &str) -> Action<Pipeline> {
        Action::json(&self.client, Method::GET, self.under("pipelines/latest")).param("ref", ref_name)
    }

    /// A pipeline. Nothing is sent yet.
    pub fn pipeline(&self, id: impl Into<PipelineId>) -> PipelineHandle {
        let id = id.into();
        PipelineHandle { client: self.client.clone(), path: self.under(format_args!("pipelines/{id}")), id }
    }
}

/// A pipeline and what it has.
#[derive(Debug, Clone)]
pub struct PipelineHandle {
    client: Client,
    path: String,
    id: PipelineId,
}

impl PipelineHandle {
    fn under(&self, rest: &str) -> String {
        format!("{}/{rest}", self.path)
    }

    /// The pipeline.
    pub fn get(&self) -> Action<Pipeline> {
        Action::json(&self.client, Method::GET, self.path.as_str())
    }

    /// Cancels what has not ended.
    pub fn cancel(&self) -> Action<Pipeline> {
        Action::json(&self.client, Method::POST, self.under("cancel"))
    }

    /// Runs again what failed or was canceled.
    pub fn retry(&self) -> Action<Pipeline> {
        Action::json(&self.client, Method::POST, self.under("retry"))
    }

    /// Deletes it with its jobs.
    pub fn delete(&self) -> Action<()> {
        Action::done(&self.client, Method::DELETE, self.path.as_str())
    }

    /// Gives it a name.
    pub fn rename(&self, name: &str) -> Action<Pipeline> {
        Action::json(&self.client, Method::PUT, self.under("metadata")).param("name", name)
    }

    /// The variables that it was started with.
    pub fn variables(&self) -> List<PipelineVariable> {
        List::new(&self.client, self.under("variables"))
    }

    /// Its jobs.
    pub fn jobs(&self) -> ListPipelineJobs {
        ListPipelineJobs(List::new(&self.client, self.under("jobs")))
    }

    /// Its bridges.
    pub fn bridges(&self) -> ListBridges {
        ListBridges(List::new(&self.client, self.under("bridges")))
    }

    /// What its tests did.
    pub fn test_report(&self) -> Action<TestReport> {
        Action::json(&self.client, Method::GET, self.under("test_report"))
    }

    /// The same without single tests.
    pub fn test_report_summary(&self) -> Action<TestReportSummary> {
        Action::json(&self.client, Method::GET, self.under("test_report_summary"))
    }

    /// Waits until nothing more happens by itself: it ended, or it is blocked by a manual job.
    ///
    /// # Errors
    /// [`Error::TimedOut`] if it still goes on after `timeout`.
    pub async fn wait(&self, timeout: Duration) -> Result<Pipeline> {
        let start = Instant::now();
        loop {
            let pipeline = self.get().await?;
            if pipeline.status.known().is_some_and(is_settled) {
                return Ok(pipeline);
            }
            let Some(left) = timeout.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else {
                return Err(Error::TimedOut { what: format!("pipeline {}", self.id), after: timeout });
            };
            tokio::time::sleep(self.client.poll_interval().min(left)).await;
        }
    }
}

/// Nothing happens any more unless somebody acts.
pub(crate) fn is_settled(status: JobStatus) -> bool {
    use JobStatus as S;
    matches!(status, S::Success | S::Failed | S::Canceled | S::Skipped | S::Manual)
}
