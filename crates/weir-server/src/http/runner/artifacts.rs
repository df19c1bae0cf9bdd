//! `POST` and `GET /jobs/:id/artifacts`.

use axum::extract::{FromRequest, Multipart};
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use weir_api::Word;
use weir_api::runner::{ArtifactsUpload, header};

use crate::app::artifacts::{self, Upload};
use crate::error::{Error, Result};
use crate::http::request::{RunnerCall, RunnerStreamCall};
use crate::http::v4::artifacts::download as attachment;

/// The name of a file whose uploader gives none.
const UNNAMED: &str = "artifacts.zip";
/// The largest form field beside the file, in bytes.
const MAX_FIELD: usize = 4096;

/// Takes a file of a job, as a stream.
pub async fn upload(RunnerStreamCall { mut call, body }: RunnerStreamCall) -> Result<Response> {
    let id = call.id("job_id")?;
    let token = call.token(header::JOB_TOKEN)?;
    let job = artifacts::uploader(&call.ctx, id, &token).await?;
    let mut request = Request::new(body);
    *request.headers_mut() = std::mem::take(&mut call.headers);
    let malformed = || Error::parameter("message body does not match declared format");
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| malformed())?;
    while let Some(mut field) = form.next_field().await.map_err(|_| malformed())? {
        let name = field.name().unwrap_or_default().to_owned();
        if name != "file" {
            let mut text = Vec::new();
            while let Some(piece) = field.chunk().await.map_err(|_| malformed())? {
                text.extend_from_slice(&piece);
                if text.len() > MAX_FIELD {
                    return Err(malformed());
                }
            }
            call.params.set(&name, String::from_utf8(text).map_err(|_| malformed())?);
            continue;
        }
        let filename = field.file_name().filter(|name| !name.is_empty()).unwrap_or(UNNAMED).to_owned();
        let what: ArtifactsUpload = call.params.typed()?;
        let (Word::Known(file_type), Word::Known(file_format)) = (what.artifact_type, what.artifact_format)
        else {
            return Err(Error::BadRequest("unknown artifact type or format".to_owned()));
        };
        let upload = Upload { file_type, file_format, filename, expire_in: what.expire_in };
        artifacts::upload(&call.ctx, &job, upload, Box::pin(field)).await?;
        return Ok((StatusCode::CREATED, axum::Json(json!({ "message": "201 Created" }))).into_response());
    }
    Err(Error::parameter("file is missing"))
}

/// Gives a running job the archive of an earlier one.
pub async fn download(call: RunnerCall) -> Result<Response> {
    let id = call.id("job_id")?;
    let token = call.token(header::JOB_TOKEN)?;
    Ok(attachment(artifacts::dependency(&call.ctx, id, &token).await?))
}
