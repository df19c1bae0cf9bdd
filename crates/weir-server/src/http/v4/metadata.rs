//! The instance itself: version and settings. Source: `lib/api/metadata.rb`, `lib/api/settings.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::get;

use crate::ctx::Ctx;
use crate::error::Result;
use crate::http::entity;
use crate::http::request::Call;
use crate::http::respond;

/// Their routes.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/version", get(show))
        .route("/metadata", get(show))
        .route("/application/settings", get(settings))
}

/// `GET /version` and `GET /metadata`
pub async fn show(call: Call) -> Result<Response> {
    call.caller.signed_in()?;
    Ok(respond::ok(entity::metadata::metadata()))
}

/// `GET /application/settings`, for administrators
pub async fn settings(call: Call) -> Result<Response> {
    call.caller.administrator()?;
    Ok(respond::ok(entity::metadata::settings(&call.ctx.config)))
}
