//! A job with its trace, the trace alone, its artifacts.

use askama::Template;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use weir_api::id::JobId;
use weir_api::status::ArtifactFileType;
use weir_api::{FailureReason, JobStatus};
use weir_engine::status;

use super::page::{self, Badge, Frame, Visit};
use super::trace::{self, Around, Shown};
use super::{projects, text};
use crate::app::access::Access;
use crate::app::{artifacts as artifact_files, jobs, traces};
use crate::auth::Action;
use crate::error::{Error, Result};
use crate::http::v4::artifacts::download;

/// Where the trace comes into the page. No text of a user's holds it: there `<` is escaped.
const TRACE: &str = "<!--trace-->";

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    frame: Frame,
    path: String,
    id: i64,
    name: String,
    header: String,
    /// Why there is no trace to be seen.
    no_trace: Option<&'static str>,
    marker: &'static str,
    active: bool,
}

/// The part that changes while the job runs.
#[derive(Template)]
#[template(path = "job_live.html")]
struct Header {
    base: String,
    path: String,
    id: i64,
    name: String,
    stage: String,
    badge: Badge,
    pipeline: i64,
    git_ref: String,
    sha: String,
    short: String,
    commit_title: Option<String>,
    user: Option<String>,
    runner: Option<String>,
    tags: Vec<String>,
    duration: Option<String>,
    queued: Option<String>,
    timeout: Option<String>,
    coverage: Option<String>,
    failure: Option<String>,
    exit_code: Option<i32>,
    retried: bool,
    erased: Option<String>,
    created_at: String,
    age: String,
    /// The archive's size, and when it goes.
    archive: Option<(String, Option<String>)>,
}

/// `GET /:project/-/jobs/:id`
pub(super) async fn show(visit: &Visit, path: &str, id: JobId) -> Result<Response> {
    let access = visit.project(path, Action::ReadJobs).await?;
    let header = self::header(visit, &access, id).await?;
    let complete = !header.active;
    let trace = match read(visit, &access, id, 0).await {
        Err(Error::Forbidden(_)) => None,
        found => Some(found?),
    };
    let no_trace = match &trace {
        None => Some("The trace of this job is not for you to see."),
        Some(trace) if trace.size == 0 && complete => Some("This job has no trace."),
        Some(_) => None,
    };
    let html = page::text(&JobPage {
        frame: visit.frame(),
        path: access.project.full_path,
        id: id.0,
        name: header.name,
        header: header.html,
        no_trace,
        marker: TRACE,
        active: !complete,
    })?;
    let (Some(trace), Some((before, after))) = (trace, html.split_once(TRACE)) else {
        return Ok((page::headers(), axum::response::Html(html)).into_response());
    };
    let (before, after) = (before.to_owned(), after.to_owned());
    let after = move |shown: Shown| {
        // What the script goes on from; without it there is nothing to go on.
        if complete { after } else { after.replacen("data-shown=\"\"", &data(shown), 1) }
    };
    let body = Body::from_stream(trace::stream(trace, Around { before, after: Box::new(after), complete }));
    let mut response = (page::headers(), body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Ok(response)
}

fn data(shown: Shown) -> String {
    format!("data-shown=\"start={}&amp;lines={}&amp;items={}\"", shown.start, shown.lines, shown.items)
}

/// A trace for those who may see it.
pub(super) async fn read(visit: &Visit, access: &Access, id: JobId, start: u64) -> Result<traces::Reader> {
    access.standing.demand(Action::ReadTrace)?;
    traces::read_from(&visit.ctx, access, id, start).await
}

/// The part that changes while a job runs.
pub(super) struct Live {
    pub(super) html: String,
    /// Whether it still may change.
    pub(super) active: bool,
    name: String,
}

/// The part that changes.
pub(super) async fn header(visit: &Visit, access: &Access, id: JobId) -> Result<Live> {
    let details = jobs::find(&visit.ctx, access, id).await?;
    let (job, pipeline, now) = (details.job, details.pipeline, visit.ctx.now());
    let ended = job.finished_at.unwrap_or(now);
    let failed = job.status == JobStatus::Failed;
    let kept = |it: &&weir_store::artifacts::Artifact| {
        it.file_type == ArtifactFileType::Archive && (it.locked || it.expire_at.is_none_or(|at| at > now))
    };
    let archive = details.artifacts.iter().find(kept).map(|it| {
        let goes = it.expire_at.filter(|_| !it.locked).map(weir_api::Timestamp::date);
        (text::size(it.size), goes)
    });
    let sees_code = access.standing.may(Action::ReadCode);
    let reason = job.failure_reason.unwrap_or(FailureReason::UnknownFailure);
    let header = Header {
        base: page::base(&visit.ctx),
        path: access.project.full_path.clone(),
        id: job.id.0,
        stage: job.stage_name,
        badge: Badge::of(job.status, failed && job.allow_failure),
        pipeline: pipeline.id.0,
        short: projects::short(&pipeline.sha),
        git_ref: pipeline.ref_name,
        sha: pipeline.sha,
        commit_title: details.commit.filter(|_| sees_code).map(|commit| commit.title),
        user: details.user.map(|user| user.name),
        runner: details.runner.map(|it| match it.description.filter(|text| !text.is_empty()) {
            Some(description) => format!("#{} {description}", it.id.0),
            None => format!("#{}", it.id.0),
        }),
        tags: details.tags,
        duration: job.started_at.map(|at| text::clock_of(ended.secs_since(at))),
        queued: job.queued_at.map(|at| text::clock_of(job.started_at.unwrap_or(ended).secs_since(at))),
        timeout: job.timeout.map(text::clock),
        coverage: job.coverage.map(|percent| format!("{percent:.1}%")),
        failure: failed.then(|| text::words(reason.as_str())),
        exit_code: job.exit_code.filter(|_| failed),
        retried: job.retried,
        erased: job.erased_at.map(|at| text::ago(now, at)),
        created_at: job.created_at.to_string(),
        age: text::ago(now, job.created_at),
        archive: archive.filter(|_| access.standing.may(Action::ReadArtifacts)),
        name: job.name,
    };
    Ok(Live { html: page::text(&header)?, active: !status::is_completed(job.status), name: header.name })
}

/// `GET /:project/-/jobs/:id/raw`
pub(super) async fn raw(visit: &Visit, path: &str, id: JobId) -> Result<Response> {
    let access = visit.project(path, Action::ReadTrace).await?;
    let trace = read(visit, &access, id, 0).await?;
    let mut response = (page::headers(), Body::from_stream(trace.body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(trace.size));
    Ok(response)
}

/// `GET /:project/-/jobs/:id/artifacts/download`
pub(super) async fn artifacts(visit: &Visit, path: &str, id: JobId) -> Result<Response> {
    let access = visit.project(path, Action::ReadArtifacts).await?;
    let found = artifact_files::archive(&visit.ctx, &access, id).await?;
    let mut response = download(found);
    for (name, value) in &page::headers() {
        response.headers_mut().insert(name, value.clone());
    }
    Ok(response)
}
