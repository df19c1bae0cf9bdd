//! REST API v4: one file per noun, each handler about ten lines.

pub mod artifacts;
pub mod jobs;
pub mod metadata;
pub mod pipelines;
pub mod tokens;
pub mod users;

use axum::Router;

use crate::ctx::Ctx;

/// Routes below `/api/v4`.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .merge(artifacts::routes())
        .merge(jobs::routes())
        .merge(pipelines::routes())
        .merge(metadata::routes())
        .merge(tokens::routes())
        .merge(users::routes())
}
