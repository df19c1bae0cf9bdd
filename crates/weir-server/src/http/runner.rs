//! The runner protocol: what `gitlab-runner` and [Weir's own runner](weir_api::runner) call.
//! Source: `lib/api/ci/runner.rb`.

pub mod artifacts;
pub mod jobs;
pub mod runners;
pub mod trace;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, patch, post, put};

use crate::ctx::Ctx;

/// Routes below `/api/v4`.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/runners/verify", post(runners::verify))
        .route("/runners", delete(runners::unregister))
        .route("/runners/managers", delete(runners::unregister_manager))
        .route("/jobs/request", post(jobs::request))
        .route("/jobs/{job_id}", put(jobs::update))
        .route("/jobs/{job_id}/trace", patch(trace::append).layer(DefaultBodyLimit::disable()))
        .route(
            "/jobs/{job_id}/artifacts",
            post(artifacts::upload).get(artifacts::download).layer(DefaultBodyLimit::disable()),
        )
}
