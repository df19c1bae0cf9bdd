//! REST API v4: one file per noun, each handler about ten lines.

pub mod users;

use axum::Router;
use axum::routing::get;

use crate::ctx::Ctx;

/// Routes below `/api/v4`.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/user", get(users::current))
        .route("/users", get(users::list).post(users::create))
        .route("/users/{id}", get(users::show).delete(users::delete))
}
