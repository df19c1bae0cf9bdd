//! Answers.

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

/// 200 with an entity.
pub fn ok(entity: impl Serialize) -> Response {
    Json(entity).into_response()
}

/// 201 with an entity.
pub fn created(entity: impl Serialize) -> Response {
    (StatusCode::CREATED, Json(entity)).into_response()
}

/// 202 `{"message": "202 Accepted"}`.
pub fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(json!({ "message": "202 Accepted" }))).into_response()
}

/// 204 without a body.
pub fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// 200 with one page of a list and its headers.
pub fn page(headers: HeaderMap, entities: Vec<impl Serialize>) -> Response {
    (headers, Json(entities)).into_response()
}
