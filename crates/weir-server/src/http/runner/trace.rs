//! `PATCH /jobs/:id/trace`.

use axum::http::{HeaderName, HeaderValue, StatusCode, header as http_header};
use axum::response::{IntoResponse, Response};
use weir_api::runner::{TraceRange, header};

use super::jobs::{not_processing, with_status};
use crate::app::traces::{self, Appended};
use crate::error::{Error, Result};
use crate::http::request::RunnerStreamCall;

/// The largest piece of a trace in one call. Runners send 1 MiB at most.
const MAX_PATCH: usize = 8 << 20;
/// Seconds between two calls that the runner is asked to keep while nobody looks at the trace.
const UPDATE_INTERVAL: HeaderValue = HeaderValue::from_static("3");

/// Appends to a job's trace; answered only when the bytes are durable.
pub async fn append(RunnerStreamCall { call, body }: RunnerStreamCall) -> Result<Response> {
    let id = call.id("job_id")?;
    let token = call.token(header::JOB_TOKEN)?;
    let range = call.headers.get(http_header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let range: TraceRange = range
        .ok_or_else(|| Error::parameter("400 Missing header Content-Range"))?
        .parse()
        .map_err(|_| Error::parameter("400 Invalid header Content-Range"))?;
    let debug = call.params.text("debug_trace").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let bytes = axum::body::to_bytes(body, MAX_PATCH).await.map_err(|_| Error::TooLarge(None))?;
    match traces::append(&call.ctx, id, &token, range.start, bytes, debug).await? {
        Appended::Accepted { status, total } => {
            let mut response = with_status(status, StatusCode::ACCEPTED.into_response());
            let headers = response.headers_mut();
            if let Ok(range) = HeaderValue::from_str(&format!("0-{total}")) {
                headers.insert(HeaderName::from_static("range"), range);
            }
            headers.insert(header::TRACE_UPDATE_INTERVAL, UPDATE_INTERVAL);
            Ok(response)
        }
        Appended::Mismatch { status, stored } => {
            Ok(with_status(status, Error::RangeNotSatisfiable { stored }.into_response()))
        }
        Appended::NotProcessing { status } => Ok(not_processing(status)),
    }
}
