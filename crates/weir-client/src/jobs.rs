//! Jobs of a project, with their traces and artifacts.

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use reqwest::header::{HeaderValue, RANGE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use weir_api::JobStatus;
use weir_api::artifacts::ArtifactTreeEntry;
use weir_api::id::JobId;
use weir_api::jobs::Job;

use crate::action::{Action, List, list};
use crate::client::Client;
use crate::error::Result;
use crate::path::{rest, segment};
use crate::pipelines::is_settled;
use crate::projects::ProjectHandle;
use crate::stream::{Download, chunks};

list! {
    /// Jobs of a project, newest first: `GET /projects/:id/jobs`.
    ListJobs<Job> {
        /// With one of these statuses.
        scope("scope"): &[JobStatus],
    }
}

impl Client {
    /// The job whose token the client has: `GET /job`.
    pub fn current_job(&self) -> Action<Job> {
        Action::json(self, Method::GET, "job")
    }
}

impl ProjectHandle {
    /// The project's jobs.
    pub fn jobs(&self) -> ListJobs {
        ListJobs(List::new(&self.client, self.under("jobs")))
    }

    /// A job. Nothing is sent yet.
    pub fn job(&self, id: impl Into<JobId>) -> JobHandle {
        let path = self.under(format_args!("jobs/{}", id.into()));
        JobHandle { client: self.client.clone(), path }
    }

    /// The archive of the job named `job` in the latest successful pipeline of a branch or tag.
    pub fn artifacts(&self, ref_name: &str, job: &str) -> Download {
        let path = self.under(format_args!("jobs/artifacts/{}/download", segment(ref_name)));
        Download::new(self.client.call(Method::GET, path)).param("job", job)
    }

    /// One file of that archive.
    pub fn artifact(&self, ref_name: &str, file: &str, job: &str) -> Download {
        let path = self.under(format_args!("jobs/artifacts/{}/raw/{}", segment(ref_name), rest(file)));
        Download::new(self.client.call(Method::GET, path)).param("job", job)
    }

    /// Deletes the artifacts of all jobs, in the background.
    pub fn delete_artifacts(&self) -> Action<()> {
        Action::done(&self.client, Method::DELETE, self.under("artifacts"))
    }
}

/// The start of a manual or delayed job: `POST /projects/:id/jobs/:id/play`.
#[must_use = "nothing is sent before `send` is awaited"]
#[derive(Clone)]
pub struct PlayJob {
    action: Action<Job>,
    variables: Vec<Value>,
}

/// Values of variables are not shown.
impl std::fmt::Debug for PlayJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.action.fmt(f)
    }
}

impl PlayJob {
    /// Adds a variable.
    pub fn variable(mut self, key: &str, value: &str) -> Self {
        self.variables.push(json!({ "key": key, "value": value }));
        self
    }

    /// Starts the job.
    pub async fn send(self) -> Result<Job> {
        let action = self.action;
        if self.variables.is_empty() {
            return action.send().await;
        }
        action.param("job_variables_attributes", self.variables).send().await
    }
}

/// A job and what it has.
#[derive(Debug, Clone)]
pub struct JobHandle {
    client: Client,
    path: String,
}

impl JobHandle {
    fn under(&self, rest: &str) -> String {
        format!("{}/{rest}", self.path)
    }

    fn post(&self, rest: &str) -> Action<Job> {
        Action::json(&self.client, Method::POST, self.under(rest))
    }

    fn download(&self, rest: &str) -> Download {
        Download::new(self.client.call(Method::GET, self.under(rest)))
    }

    /// The job.
    pub fn get(&self) -> Action<Job> {
        Action::json(&self.client, Method::GET, self.path.as_str())
    }

    /// Cancels it.
    pub fn cancel(&self) -> Action<Job> {
        self.post("cancel")
    }

    /// Runs it again; the answer is the new job.
    pub fn retry(&self) -> Action<Job> {
        self.post("retry")
    }

    /// Starts it, if it is manual or delayed.
    pub fn play(&self) -> PlayJob {
        PlayJob { action: self.post("play"), variables: Vec::new() }
    }

    /// Removes its trace and artifacts.
    pub fn erase(&self) -> Action<Job> {
        self.post("erase")
    }

    /// Its trace so far.
    pub fn trace(&self) -> Download {
        self.download("trace")
    }

    /// Its trace as it grows, until the job ended. Each chunk is what came since the last one.
    pub fn follow_trace(&self) -> BoxStream<'static, Result<Bytes>> {
        let looks = stream::try_unfold(Look::First(self.clone()), |look| async move {
            let (job, seen) = match look {
                Look::First(job) => (job, 0),
                Look::Again(job, seen) => {
                    tokio::time::sleep(job.client.poll_interval()).await;
                    (job, seen)
                }
                Look::Ended => return Ok(None),
            };
            // The status first: what the trace has after the job ended is all of it.
            let has_ended = job.get().await?.status.known().is_some_and(is_settled);
            let new = job.trace_from(seen).await?;
            let seen = seen + new.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
            let next = if has_ended { Look::Ended } else { Look::Again(job, seen) };
            Ok(Some((stream::iter(new.into_iter().map(Ok)), next)))
        });
        looks.try_flatten().boxed()
    }

    /// What the trace has from an offset on. A server that knows no ranges sends all, and the start is dropped.
    async fn trace_from(&self, offset: u64) -> Result<Vec<Bytes>> {
        let mut call = self.client.call(Method::GET, self.under("trace"));
        call.timeout = None;
        if let (true, Ok(range)) = (offset > 0, HeaderValue::from_str(&format!("bytes={offset}-"))) {
            call.headers.insert(RANGE, range);
        }
        let response = call.respond().await?;
        let mut skip = match response.status() {
            StatusCode::PARTIAL_CONTENT => 0,
            StatusCode::RANGE_NOT_SATISFIABLE => return Ok(Vec::new()),
            status if status.is_success() => offset,
            _ => return Err(call.refusal(response).await),
        };
        let mut new = Vec::new();
        let mut chunks = chunks(&call, response);
        while let Some(mut chunk) = chunks.try_next().await? {
            let dropped = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
            skip -= dropped as u64;
            let chunk = chunk.split_off(dropped);
            if !chunk.is_empty() {
                new.push(chunk);
            }
        }
        Ok(new)
    }

    /// Its archive.
    pub fn artifacts(&self) -> Download {
        self.download("artifacts")
    }

    /// One file of its archive.
    pub fn artifact(&self, file: &str) -> Download {
        self.download(&format!("artifacts/{}", rest(file)))
    }

    /// What its archive holds.
    pub fn artifact_tree(&self) -> List<ArtifactTreeEntry> {
        List::new(&self.client, self.under("artifacts/tree"))
    }

    /// Keeps its artifacts for good.
    pub fn keep_artifacts(&self) -> Action<Job> {
        self.post("artifacts/keep")
    }

    /// Deletes its artifacts.
    pub fn delete_artifacts(&self) -> Action<()> {
        Action::done(&self.client, Method::DELETE, self.under("artifacts"))
    }
}

enum Look {
    First(JobHandle),
    Again(JobHandle, u64),
    Ended,
}
