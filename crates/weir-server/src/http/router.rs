//! Every route.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::http::{git, health, layer, runner, v4, web};

/// The whole server.
pub fn router(ctx: Ctx) -> Router {
    let api = v4::routes().merge(runner::routes());
    Router::new()
        .nest("/api/v4", api)
        .route("/-/health", get(health::health))
        .route("/-/liveness", get(health::liveness))
        .route("/-/readiness", get(health::readiness))
        .route("/-/metrics", get(health::metrics))
        .merge(web::routes())
        .fallback(fallback)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(ctx.clone(), layer::every_answer))
        .with_state(ctx)
}

/// Repositories live under `/<any path>.git/…` and pages under `/<any path>/-/…`, which no pattern of the router can
/// express.
async fn fallback(State(ctx): State<Ctx>, request: Request) -> Response {
    let path = request.uri().path();
    if let Some(route) = git::Route::parse(path) {
        return git::serve(ctx, route, request).await.into_response();
    }
    match web::Route::parse(path) {
        Some(route) => web::serve(ctx, route, request).await,
        None => Error::NoRoute.into_response(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands the panic over")]
fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    Error::internal(format!("a handler panicked: {}", text.unwrap_or_default())).into_response()
}
