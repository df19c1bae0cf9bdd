//! Style sheet and script, embedded.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use weir_store::digest;

use crate::error::Error;

const STYLE: &str = include_str!("../../../assets/web.css");
const SCRIPT: &str = include_str!("../../../assets/web.js");
const ICON: &str = include_str!("../../../assets/icon.svg");

/// What changes with the assets: a part of their URLs, so that browsers keep them for long.
pub(super) static VERSION: LazyLock<String> = LazyLock::new(|| {
    let all = [STYLE, SCRIPT, ICON].concat();
    digest::hex(&digest::sha256(all.as_bytes())).chars().take(12).collect()
});

/// `GET /-/assets/:name`
pub(super) async fn serve(Path(name): Path<String>) -> Response {
    let (kind, text) = match name.as_str() {
        "web.css" => ("text/css; charset=utf-8", STYLE),
        "web.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => return Error::NoRoute.into_response(),
    };
    let headers =
        [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, text).into_response()
}
