//! REST API v4: one file per noun, each handler about ten lines.

pub mod artifacts;
pub mod jobs;
pub mod pipelines;
pub mod users;

use axum::Router;
use axum::routing::get;

use crate::ctx::Ctx;

/// Routes below `/api/v4`.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .merge(artifacts::routes())
        .merge(jobs::routes())
        .merge(pipelines::routes())
        .route("/user", get(users::current))
        .route("/users", get(users::list).post(users::create))
        .route("/users/{id}", get(users::show).delete(users::delete))
}
