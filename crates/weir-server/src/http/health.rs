//! `/-/health`, `/-/readiness`, `/-/liveness` and `/-/metrics`.
//! Source: GitLab's `doc/administration/monitoring/health_check.md`.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::ctx::Ctx;

/// The process answers.
pub async fn health() -> &'static str {
    "GitLab OK"
}

/// The process is alive, whatever its dependencies do.
pub async fn liveness() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// The server can do its work: the database answers and the server does not drain.
pub async fn readiness(State(ctx): State<Ctx>) -> Response {
    let database: Result<(), weir_store::Error> =
        ctx.db.read(|tx| tx.query("SELECT 1", &[]).map(|_| ())).await;
    let check = |ok: bool| json!([{ "status": if ok { "ok" } else { "failed" } }]);
    let ready = database.is_ok() && !ctx.is_draining();
    let body = json!({
        "status": if ready { "ok" } else { "failed" },
        "db_check": check(database.is_ok()),
        "drain_check": check(!ctx.is_draining()),
    });
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

/// Prometheus metrics.
pub async fn metrics(State(ctx): State<Ctx>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], ctx.metrics.text()).into_response()
}
