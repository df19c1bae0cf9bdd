//! Artifacts. Source: `lib/api/ci/job_artifacts.rb`.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use weir_api::id::JobId;

use crate::app::artifacts::{self, Download};
use crate::app::jobs;
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::entity;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of artifacts.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{id}/jobs/{job_id}/artifacts", get(archive).delete(delete))
        .route("/projects/{id}/jobs/{job_id}/artifacts/keep", post(keep))
        .route("/projects/{id}/jobs/{job_id}/artifacts/{*artifact_path}", get(file))
        .route("/projects/{id}/jobs/artifacts/{*rest}", get(by_ref))
        .route("/projects/{id}/artifacts", axum::routing::delete(delete_all))
}

/// `GET /projects/:id/jobs/:job_id/artifacts`
pub async fn archive(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::ReadArtifacts).await?;
    let found = artifacts::archive(&call.ctx, &access, call.id("job_id")?).await?;
    Ok(download(found))
}

/// `GET /projects/:id/jobs/:job_id/artifacts/*artifact_path`
pub async fn file(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::ReadArtifacts).await?;
    let job = call.id::<JobId>("job_id")?;
    let found = artifacts::file(&call.ctx, &access, job, call.path("artifact_path")).await?;
    Ok(download(found))
}

/// `GET /projects/:id/jobs/artifacts/:ref_name/download` and `…/raw/*artifact_path`: the archive, or one file
/// of it, of a job in the latest successful pipeline of a branch or tag.
///
/// A ref may hold slashes, so the path is cut at the words that follow it.
pub async fn by_ref(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::ReadArtifacts).await?;
    let mut fields = call.params.fields();
    let job = fields.required("job");
    let rest = call.path("rest");
    if let Some(git_ref) = rest.strip_suffix("/download") {
        fields.check()?;
        let id = artifacts::latest_job(&call.ctx, &access, git_ref, &job).await?;
        return Ok(download(artifacts::archive(&call.ctx, &access, id).await?));
    }
    let Some((git_ref, path)) = rest.split_once("/raw/") else { return Err(Error::NoRoute) };
    fields.check()?;
    let id = artifacts::latest_job(&call.ctx, &access, git_ref, &job).await?;
    Ok(download(artifacts::file(&call.ctx, &access, id, path).await?))
}

/// `POST /projects/:id/jobs/:job_id/artifacts/keep`
pub async fn keep(call: Call) -> Result<Response> {
    let access = call.project(Action::UpdateJob).await?;
    let id = call.id::<JobId>("job_id")?;
    artifacts::keep(&call.ctx, &access, id).await?;
    let job = jobs::find(&call.ctx, &access, id).await?;
    Ok(respond::ok(entity::jobs::full(&call.ctx, &job)))
}

/// `DELETE /projects/:id/jobs/:job_id/artifacts`
pub async fn delete(call: Call) -> Result<Response> {
    let access = call.project(Action::DeleteArtifacts).await?;
    artifacts::delete(&call.ctx, &access, call.id("job_id")?).await?;
    Ok(respond::no_content())
}

/// `DELETE /projects/:id/artifacts`
pub async fn delete_all(call: Call) -> Result<Response> {
    let access = call.project(Action::DeleteArtifacts).await?;
    artifacts::delete_all(&call.ctx, &access.project).await?;
    Ok(respond::accepted())
}

/// A file as an attachment, streamed.
pub(in crate::http) fn download(found: Download) -> Response {
    let mut response = (StatusCode::OK, Body::from_stream(found.body)).into_response();
    let headers = response.headers_mut();
    let kind = mime_guess::from_path(&found.filename).first_raw().unwrap_or("application/octet-stream");
    // HTML or SVG out of a job must never run in this origin: an attachment is saved, not shown.
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(found.size));
    let plain: String = found
        .filename
        .chars()
        .map(|it| if it.is_ascii_graphic() && it != '"' && it != '\\' { it } else { '_' })
        .collect();
    let encoded = percent_encoding::utf8_percent_encode(&found.filename, percent_encoding::NON_ALPHANUMERIC);
    let disposition = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}");
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}
