//! Files of a repository. Source: `lib/api/files.rb`.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{CONTROLS, utf8_percent_encode};
use weir_api::commits::CommitActionKind;
use weir_api::files::{File, FileChange};

use super::commits::{content, filled};
use crate::app::commits::{Change, NewCommit};
use crate::app::files::{self, FileDetails};
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::http::params::Fields;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of files. A path is one segment, with encoded slashes.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route(
            "/projects/{id}/repository/files/{file_path}",
            get(show).head(head).post(create).put(update).delete(delete),
        )
        .route("/projects/{id}/repository/files/{file_path}/raw", get(raw))
}

async fn find(call: &Call) -> Result<(crate::app::access::Access, FileDetails)> {
    let access = call.project(Action::ReadCode).await?;
    let mut fields = call.params.fields();
    let git_ref = fields.required("ref");
    fields.check()?;
    files::demand_inside(call.path("file_path"), false)?;
    let file = files::find(&call.ctx, &access.project, &git_ref, call.path("file_path")).await?;
    Ok((access, file))
}

/// `GET /projects/:id/repository/files/:file_path`
pub async fn show(call: Call) -> Result<Response> {
    let (access, file) = find(&call).await?;
    let content = files::content(&call.ctx, &access.project, &file).await?;
    let headers = headers(&file);
    let entity = File { content: STANDARD.encode(content), ..entity(&file) };
    Ok((headers, respond::ok(entity)).into_response())
}

/// `HEAD /projects/:id/repository/files/:file_path`
pub async fn head(call: Call) -> Result<Response> {
    let (_, file) = find(&call).await?;
    Ok((headers(&file), ()).into_response())
}

/// `GET /projects/:id/repository/files/:file_path/raw`
pub async fn raw(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::ReadCode).await?;
    let mut fields = call.params.fields();
    let git_ref = if fields.given("ref") { fields.required("ref") } else { default_ref(&access.project) };
    fields.check()?;
    files::demand_inside(call.path("file_path"), true)?;
    let file = files::find(&call.ctx, &access.project, &git_ref, call.path("file_path")).await?;
    let content = files::stream(&call.ctx, &access.project, &file).await?;
    let mut response = (headers(&file), Body::from_stream(content)).into_response();
    let headers = response.headers_mut();
    // Whatever it is, it is shown as text, so that it cannot run in this origin.
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(file.info.size));
    let name = utf8_percent_encode(file.path.file_name(), percent_encoding::NON_ALPHANUMERIC);
    if let Ok(value) = HeaderValue::from_str(&format!("inline; filename*=UTF-8''{name}")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    let fresh = HeaderValue::from_static("max-age=0, private, must-revalidate, no-store, no-cache");
    headers.insert(header::CACHE_CONTROL, fresh);
    Ok(response)
}

fn default_ref(project: &weir_store::projects::Project) -> String {
    project.default_branch.clone().unwrap_or_else(|| "HEAD".to_owned())
}

/// All but the content.
fn entity(file: &FileDetails) -> File {
    File {
        file_name: file.path.file_name().to_owned(),
        file_path: file.path.to_string(),
        size: i64::try_from(file.info.size).unwrap_or(i64::MAX),
        encoding: "base64".to_owned(),
        content_sha256: file.sha256.clone(),
        ref_name: file.git_ref.clone(),
        blob_id: file.info.blob.to_string(),
        commit_id: file.commit.to_string(),
        last_commit_id: file.last_commit.to_string(),
        execute_filemode: file.info.is_executable(),
        content: String::new(),
    }
}

/// The same as headers.
fn headers(file: &FileDetails) -> HeaderMap {
    let entity = entity(file);
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-gitlab-file-name", entity.file_name),
        ("x-gitlab-file-path", entity.file_path),
        ("x-gitlab-size", entity.size.to_string()),
        ("x-gitlab-encoding", entity.encoding),
        ("x-gitlab-content-sha256", entity.content_sha256),
        ("x-gitlab-ref", entity.ref_name),
        ("x-gitlab-blob-id", entity.blob_id),
        ("x-gitlab-commit-id", entity.commit_id),
        ("x-gitlab-last-commit-id", entity.last_commit_id),
        ("x-gitlab-execute-filemode", entity.execute_filemode.to_string()),
    ] {
        // A header cannot hold every character that a name can.
        let value = utf8_percent_encode(&value, CONTROLS).to_string();
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
}

/// `POST /projects/:id/repository/files/:file_path`
pub async fn create(call: Call) -> Result<Response> {
    Ok(respond::created(change(&call, CommitActionKind::Create).await?))
}

/// `PUT /projects/:id/repository/files/:file_path`
pub async fn update(call: Call) -> Result<Response> {
    Ok(respond::ok(change(&call, CommitActionKind::Update).await?))
}

/// `DELETE /projects/:id/repository/files/:file_path`
pub async fn delete(call: Call) -> Result<Response> {
    change(&call, CommitActionKind::Delete).await?;
    Ok(respond::no_content())
}

async fn change(call: &Call, kind: CommitActionKind) -> Result<FileChange> {
    let access = call.project(Action::WriteCode).await?;
    let mut fields = call.params.fields();
    let new = read(&mut fields, call.path("file_path"), kind);
    fields.check()?;
    files::demand_inside(call.path("file_path"), false)?;
    let user = call.caller.signed_in()?;
    let branch = new.branch.clone();
    files::change(&call.ctx, &access, user, new).await?;
    Ok(FileChange { file_path: call.path("file_path").to_owned(), branch })
}

fn read(fields: &mut Fields<'_>, path: &str, kind: CommitActionKind) -> NewCommit {
    let (branch, message) = (fields.required("branch"), fields.required("commit_message"));
    let mut change = Change::file(kind, path, None);
    if kind != CommitActionKind::Delete {
        fields.present("content");
        change.content = content(fields);
        change.executable = fields.boolean("execute_filemode");
    }
    change.last_commit_id = fields.text("last_commit_id");
    NewCommit {
        start_branch: filled(fields, "start_branch"),
        author_name: fields.text("author_name"),
        author_email: fields.text("author_email"),
        ..NewCommit::new(branch, message, vec![change])
    }
}
