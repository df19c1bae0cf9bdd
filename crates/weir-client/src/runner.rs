//! The runner's side of the runner protocol.
//!
//! ```no_run
//! # async fn example() -> weir_client::Result<()> {
//! use weir_client::runner::RunnerApi;
//! use weir_client::types::runner::JobRequest;
//!
//! let api = RunnerApi::new(weir_client::Client::builder("https://gitlab.example.com").build()?);
//! let request = JobRequest { token: "glrt-…".into(), ..JobRequest::default() };
//! let answer = api.request_job(&request).await?;
//! if let Some(payload) = answer.job {
//!     let job = api.job(payload.id, payload.token.clone());
//!     let sent = job.patch_trace(0, "Hello\n".into(), false).await?;
//!     println!("{:?}", sent.outcome);
//! }
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde_json::Value;
use tokio::io::AsyncRead;
use weir_api::id::JobId;
use weir_api::runner::{
    ArtifactsUpload, JobPayload, JobRequest, JobUpdate, RegisterRequest, ResetTokenResult,
    RunnerRegistrationDetails, RunnerTokenRequest, TraceRange, VerifyRequest, header,
};
use weir_api::{JobStatus, Secret, Word};

use crate::call::{Call, Retry};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::stream;

/// How long a server may hold a request for a job, beyond the client's own time for a call.
const LONG_POLL: Duration = Duration::from_mins(1);
/// The longest pause between pieces of trace that a server may ask for. Source: gitlab-runner.
const MAX_TRACE_INTERVAL: Duration = Duration::from_mins(15);

/// The calls of a runner. The client needs no token of its own.
#[derive(Debug, Clone)]
pub struct RunnerApi {
    client: Client,
}

/// The answer to a request for a job.
#[derive(Debug, Clone)]
pub struct JobAnswer {
    /// A job, if there is one.
    pub job: Option<JobPayload>,
    /// What to send as `last_update` next time.
    pub last_update: Option<String>,
}

/// What the server thinks of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateOutcome {
    /// It holds.
    Accepted,
    /// It holds, but the trace is not yet safe: send the same again after the interval.
    Incomplete,
    /// The job ended elsewhere: stop it, send nothing more.
    Abort,
    /// The trace is broken: send it again from its beginning.
    ResendTrace,
}

/// What the server thinks of a piece of trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceOutcome {
    /// It is stored; the trace has this length now, where the server says so.
    Accepted {
        /// Bytes.
        stored: Option<u64>,
    },
    /// It does not follow what is stored: send from this offset.
    RangeMismatch {
        /// Bytes.
        expected: u64,
    },
    /// The job is not there: send no more trace for now.
    NotFound,
    /// The job ended elsewhere: stop it, send nothing more.
    Abort,
}

/// The server's answer about a job, with what its headers ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction<T> {
    /// What became of the call.
    pub outcome: T,
    /// The job's status in the server, where it says so.
    pub job_status: Option<Word<JobStatus>>,
    /// When to send the next piece of trace.
    pub interval: Option<Duration>,
}

impl<T> Reaction<T> {
    /// Whether to stop the script and run `after_script`.
    pub fn is_canceling(&self) -> bool {
        self.job_status.as_ref().is_some_and(|status| *status == JobStatus::Canceling)
    }
}

impl RunnerApi {
    /// The calls of a runner, through `client`.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    fn call(&self, method: Method, path: impl Into<String>, body: &impl Serialize) -> Result<Call> {
        let mut call = self.client.call(method, path);
        call.retry = Retry::Always;
        // Tokens do not belong into addresses, not even for DELETE.
        call.in_query = false;
        match serde_json::to_value(body) {
            Ok(Value::Object(params)) => call.params = params,
            Ok(_) => {}
            Err(source) => return Err(Error::Decode { attempt: call.attempt(), source }),
        }
        Ok(call)
    }

    fn runner_call(&self, method: Method, path: &str, token: &Secret, body: &impl Serialize) -> Result<Call> {
        self.call(method, path, body)?.header(header::RUNNER_TOKEN, token.expose())
    }

    /// Registers a runner with a registration token.
    pub async fn register(&self, request: &RegisterRequest) -> Result<RunnerRegistrationDetails> {
        let mut call = self.runner_call(Method::POST, "runners", &request.token, request)?;
        call.retry = Retry::IfIdempotent;
        call.json().await
    }

    /// Says that the runner is there. With a token that begins with `glrt-` this is its registration.
    ///
    /// A token that the server does not know is refused with 403.
    pub async fn verify(&self, request: &VerifyRequest) -> Result<RunnerRegistrationDetails> {
        self.runner_call(Method::POST, "runners/verify", &request.token, request)?.json().await
    }

    /// Deletes the runner.
    pub async fn unregister(&self, request: &RunnerTokenRequest) -> Result<()> {
        self.runner_call(Method::DELETE, "runners", &request.token, request)?.accept().await.map(drop)
    }

    /// Deletes one process of the runner, named by `system_id`.
    pub async fn unregister_manager(&self, request: &RunnerTokenRequest) -> Result<()> {
        self.runner_call(Method::DELETE, "runners/managers", &request.token, request)?
            .accept()
            .await
            .map(drop)
    }

    /// Replaces the runner's token; the old one ends at once.
    pub async fn reset_token(&self, request: &RunnerTokenRequest) -> Result<ResetTokenResult> {
        let path = "runners/reset_authentication_token";
        let mut call = self.runner_call(Method::POST, path, &request.token, request)?;
        call.retry = Retry::IfIdempotent;
        call.json().await
    }

    /// Asks for a job. The server may hold the request for a while until there is one.
    ///
    /// Another runner may win the race for a job: that is no job, not an error. Nothing is repeated here, since
    /// whoever asks for jobs asks again anyway.
    pub async fn request_job(&self, request: &JobRequest) -> Result<JobAnswer> {
        let mut call = self.runner_call(Method::POST, "jobs/request", &request.token, request)?;
        call.retry = Retry::Never;
        call.timeout = call.timeout.map(|timeout| timeout + LONG_POLL);
        let response = call.respond().await?;
        let last_update = text(response.headers(), header::LAST_UPDATE).map(str::to_owned);
        let job = match response.status() {
            StatusCode::CREATED => Some(call.decode(response).await?),
            StatusCode::NO_CONTENT => None,
            StatusCode::CONFLICT => {
                return Ok(JobAnswer { job: None, last_update: request.last_update.clone() });
            }
            _ => return Err(call.refusal(response).await),
        };
        Ok(JobAnswer { job, last_update })
    }

    /// The calls about one job.
    pub fn job(&self, id: JobId, token: Secret) -> RunnerJob {
        RunnerJob { api: self.clone(), id, token }
    }
}

/// The calls about one job that the runner has.
#[derive(Debug, Clone)]
pub struct RunnerJob {
    api: RunnerApi,
    id: JobId,
    token: Secret,
}

impl RunnerJob {
    /// The job.
    pub fn id(&self) -> JobId {
        self.id
    }

    fn call(&self, method: Method, path: &str, body: &impl Serialize) -> Result<Call> {
        let path = format!("jobs/{}{path}", self.id);
        self.api.call(method, path, body)?.header(header::JOB_TOKEN, self.token.expose())
    }

    /// Says how the job goes.
    ///
    /// # Errors
    /// Those worth another try later; see [`Error::is_transient`].
    pub async fn update(&self, update: &JobUpdate) -> Result<Reaction<UpdateOutcome>> {
        let mut call = self.call(Method::PUT, "", update)?;
        call.set("token", self.token.expose().into());
        let response = call.respond().await?;
        let (job_status, interval) = asked(response.headers());
        let outcome = match response.status() {
            _ if is_ended(job_status.as_ref()) => UpdateOutcome::Abort,
            StatusCode::OK => UpdateOutcome::Accepted,
            StatusCode::ACCEPTED => UpdateOutcome::Incomplete,
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => UpdateOutcome::Abort,
            StatusCode::PRECONDITION_FAILED => UpdateOutcome::ResendTrace,
            _ => return Err(call.refusal(response).await),
        };
        Ok(Reaction { outcome, job_status, interval })
    }

    /// Appends to the trace at the offset `start`. Empty content is never sent.
    ///
    /// # Errors
    /// Those worth another try later; see [`Error::is_transient`].
    pub async fn patch_trace(
        &self,
        start: u64,
        content: Bytes,
        debug_trace: bool,
    ) -> Result<Reaction<TraceOutcome>> {
        let Some(last) = (content.len() as u64).checked_sub(1) else {
            let outcome = TraceOutcome::Accepted { stored: None };
            return Ok(Reaction { outcome, job_status: None, interval: None });
        };
        let call = self.call(Method::PATCH, "/trace", &())?;
        let mut url = call.url()?;
        url.query_pairs_mut().append_pair("debug_trace", if debug_trace { "true" } else { "false" });
        let response = self
            .api
            .client
            .http()
            .patch(url)
            .headers(call.headers.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("text/plain"))
            .header(CONTENT_RANGE, TraceRange { start, end: start + last }.to_string())
            .timeout(self.api.client.timeout())
            .body(content)
            .send()
            .await
            .map_err(|source| call.transport(source))?;
        let (job_status, interval) = asked(response.headers());
        let stored = || text(response.headers(), RANGE.as_str())?.split_once('-')?.1.trim().parse().ok();
        let outcome = match response.status() {
            _ if is_ended(job_status.as_ref()) => TraceOutcome::Abort,
            StatusCode::ACCEPTED => TraceOutcome::Accepted { stored: stored() },
            StatusCode::RANGE_NOT_SATISFIABLE => {
                TraceOutcome::RangeMismatch { expected: stored().unwrap_or_default() }
            }
            StatusCode::FORBIDDEN => TraceOutcome::Abort,
            StatusCode::NOT_FOUND => TraceOutcome::NotFound,
            _ => return Err(call.refusal(response).await),
        };
        Ok(Reaction { outcome, job_status, interval })
    }

    /// Uploads a file of artifacts as it is read, without holding it whole. It is sent once; a caller who tries
    /// again needs a new reader. There is no time limit: a large file over a slow line takes as long as it takes.
    ///
    /// # Errors
    /// [`Error::Refused`] with 403 or 413 is final.
    pub async fn upload_artifacts(
        &self,
        upload: &ArtifactsUpload,
        file_name: impl Into<String>,
        content: impl AsyncRead + Send + 'static,
    ) -> Result<()> {
        let call = self.call(Method::POST, "/artifacts", &())?;
        let mut url = call.url()?;
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("artifact_format", &upload.artifact_format.to_string());
            query.append_pair("artifact_type", &upload.artifact_type.to_string());
            if let Some(expire_in) = &upload.expire_in {
                query.append_pair("expire_in", expire_in);
            }
            if let Some(accessibility) = &upload.accessibility {
                query.append_pair("accessibility", accessibility);
            }
        }
        let part = reqwest::multipart::Part::stream(stream::body(content)).file_name(file_name.into());
        let response = self
            .api
            .client
            .http()
            .post(url)
            .headers(call.headers.clone())
            .multipart(reqwest::multipart::Form::new().part("file", part))
            .send()
            .await
            .map_err(|source| call.transport(source))?;
        self.expect(&call, response).await.map(drop)
    }

    /// The archive of the job `dependency`, as it arrives.
    ///
    /// The token is the dependency's from the payload, which is this job's own.
    ///
    /// # Errors
    /// [`Error::Refused`] with 403 or 404 is final.
    pub async fn download_artifacts(
        &self,
        dependency: JobId,
        token: &Secret,
        direct_download: bool,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let path = format!("jobs/{dependency}/artifacts");
        let mut call = self.api.client.call(Method::GET, path).header(header::JOB_TOKEN, token.expose())?;
        if direct_download {
            call.set("direct_download", true.into());
        }
        call.timeout = None;
        Ok(stream::chunks(&call, call.accept().await?))
    }

    async fn expect(&self, call: &Call, response: Response) -> Result<Response> {
        if response.status().is_success() { Ok(response) } else { Err(call.refusal(response).await) }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// What the headers say of the job, and when to come back.
fn asked(headers: &HeaderMap) -> (Option<Word<JobStatus>>, Option<Duration>) {
    let status = text(headers, header::JOB_STATUS).filter(|status| !status.is_empty());
    let secs = text(headers, header::TRACE_UPDATE_INTERVAL).and_then(|secs| secs.trim().parse().ok());
    let interval = secs.filter(|secs| *secs > 0).map(Duration::from_secs);
    let Ok(status) = status.map(str::parse).transpose();
    (status, interval.map(|interval| interval.min(MAX_TRACE_INTERVAL)))
}

/// Counts before the answer's own status does.
fn is_ended(status: Option<&Word<JobStatus>>) -> bool {
    status.is_some_and(|status| *status == JobStatus::Canceled || *status == JobStatus::Failed)
}
