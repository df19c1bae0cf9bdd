//! `POST /jobs/request` and `PUT /jobs/:id`.

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use weir_api::runner::{JobRequest, JobUpdate, header};

use crate::app::job_requests::Requested;
use crate::app::{job_requests, job_updates};
use crate::error::Result;
use crate::http::request::RunnerCall;
use crate::http::respond;

/// Hands out a job, or waits until there is one.
pub async fn request(call: RunnerCall) -> Result<Response> {
    let request: JobRequest = call.params.typed()?;
    let (mut response, last_update) = match job_requests::request(&call.ctx, request).await? {
        Requested::Job { payload, last_update } => (respond::created(payload), last_update),
        Requested::None { last_update } => (respond::no_content(), last_update),
    };
    if let Ok(value) = HeaderValue::from_str(&last_update) {
        response.headers_mut().insert(header::LAST_UPDATE, value);
    }
    Ok(response)
}

/// Takes what the runner says of its job: it lives, or it ended so.
pub async fn update(call: RunnerCall) -> Result<Response> {
    let id = call.id("job_id")?;
    let token = call.token(header::JOB_TOKEN)?;
    let update: JobUpdate = call.params.typed()?;
    match job_updates::update(&call.ctx, id, &token, update).await? {
        job_updates::Updated::Accepted { status } => {
            Ok(with_status(status, (StatusCode::OK, "200").into_response()))
        }
        job_updates::Updated::NotProcessing { status } => Ok(not_processing(status)),
    }
}

/// Adds the job's status, on which the runner acts.
pub(super) fn with_status(status: weir_api::JobStatus, mut response: Response) -> Response {
    response.headers_mut().insert(header::JOB_STATUS, HeaderValue::from_static(status.as_str()));
    response
}

/// 403: the job ended by someone else's will.
pub(super) fn not_processing(status: weir_api::JobStatus) -> Response {
    with_status(status, crate::error::Error::forbidden("Job is not processing on runner").into_response())
}
