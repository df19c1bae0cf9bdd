//! What every answer has: a request id, fixed headers, a line in the log, a count in the metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use crate::ctx::Ctx;
use crate::metrics::{Method, RequestLabels};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id that is taken over from a client.
const MAX_REQUEST_ID: usize = 255;

/// The outermost layer.
pub async fn every_answer(State(ctx): State<Ctx>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    // The query may hold a token, so the log gets the path alone.
    let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default(), %method, path = request.uri().path());
    let mut response = next.run(request).instrument(span.clone()).await;
    let elapsed = start.elapsed();
    let status = response.status();
    let labels = RequestLabels { method: Method::from(&method), status: status.as_u16() };
    ctx.metrics.requests.get_or_create(&labels).inc();
    ctx.metrics.request_seconds.observe(elapsed.as_secs_f64());
    span.in_scope(|| {
        tracing::info!(status = status.as_u16(), ms = elapsed.as_secs_f64() * 1e3, "answered");
    });
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    if let Ok(runtime) = HeaderValue::from_str(&format!("{:.6}", elapsed.as_secs_f64())) {
        headers.insert("x-runtime", runtime);
    }
    for (name, value) in [
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::VARY, "Origin"),
        (header::CACHE_CONTROL, "max-age=0, private, must-revalidate"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The client's id where it is sane, otherwise one of our own.
fn request_id(request: &Request) -> HeaderValue {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    if let Some(id) = request.headers().get(REQUEST_ID) {
        let sane = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        if !id.is_empty() && id.len() <= MAX_REQUEST_ID && id.as_bytes().iter().all(sane) {
            return id.clone();
        }
    }
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let id = format!("{:08x}{count:016x}", std::process::id());
    HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}
