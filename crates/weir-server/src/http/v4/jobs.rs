//! Jobs. Source: `lib/api/ci/jobs.rb`.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use weir_api::JobStatus;
use weir_api::id::{JobId, PipelineId};

use super::pipelines::new_variable;
use crate::app::jobs::{self, JobDetails};
use crate::app::traces;
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of jobs.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/job", get(current))
        .route("/projects/{id}/jobs", get(list))
        .route("/projects/{id}/jobs/{job_id}", get(show))
        .route("/projects/{id}/jobs/{job_id}/trace", get(trace))
        .route("/projects/{id}/jobs/{job_id}/cancel", post(cancel))
        .route("/projects/{id}/jobs/{job_id}/retry", post(retry))
        .route("/projects/{id}/jobs/{job_id}/play", post(play))
        .route("/projects/{id}/jobs/{job_id}/unschedule", post(unschedule))
        .route("/projects/{id}/jobs/{job_id}/erase", post(erase))
        .route("/projects/{id}/pipelines/{pipeline_id}/jobs", get(list_of_pipeline))
        .route("/projects/{id}/pipelines/{pipeline_id}/bridges", get(bridges_of_pipeline))
        .route("/projects/{id}/pipelines/{pipeline_id}/trigger_jobs", get(bridges_of_pipeline))
}

fn entities(call: &Call, found: &[JobDetails]) -> Vec<weir_api::jobs::Job> {
    found.iter().map(|job| entity::jobs::full(&call.ctx, job)).collect()
}

/// `GET /projects/:id/jobs`
pub async fn list(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadJobs).await?;
    let mut fields = call.params.fields();
    let scope = fields.words::<JobStatus>("scope");
    let keyset = fields.text("pagination").is_some_and(|kind| kind == "keyset");
    let order = (fields.text("order_by"), fields.text("sort"));
    let before = fields.parsed::<JobId>("id_before");
    fields.check()?;
    if !keyset {
        let page = Page::read(&call.params)?;
        let (found, more) = jobs::list(&call.ctx, &access, scope, page).await?;
        return Ok(call.uncounted_page(page, entities(&call, &found), more));
    }
    if order.0.is_some_and(|by| by != "id") || order.1.is_some_and(|sort| sort != "desc") {
        return Err(Error::KeysetUnavailable);
    }
    let page = Page { page: 1, ..Page::read(&call.params)? };
    let (found, more) = jobs::list_before(&call.ctx, &access, scope, before, page).await?;
    let last = found.last().map(|job| job.job.id).filter(|_| more);
    Ok(call.keyset_page(page, entities(&call, &found), last.map(|id| ("id_before", id.to_string()))))
}

/// `GET /projects/:id/pipelines/:pipeline_id/jobs`
pub async fn list_of_pipeline(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadPipelines).await?;
    access.standing.demand(Action::ReadJobs)?;
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let scope = fields.words::<JobStatus>("scope");
    let retried = fields.boolean("include_retried").unwrap_or(false);
    fields.check()?;
    let pipeline = call.id::<PipelineId>("pipeline_id")?;
    let (found, total) = jobs::list_of_pipeline(&call.ctx, &access, pipeline, scope, retried, page).await?;
    Ok(call.page(page, entities(&call, &found), Some(total)))
}

/// `GET /projects/:id/pipelines/:pipeline_id/bridges`
pub async fn bridges_of_pipeline(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadPipelines).await?;
    access.standing.demand(Action::ReadJobs)?;
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let scope = fields.words::<JobStatus>("scope");
    fields.check()?;
    let pipeline = call.id::<PipelineId>("pipeline_id")?;
    let (found, total) =
        jobs::bridges_of_pipeline(&call.ctx, &access, call.caller.user(), pipeline, scope, page).await?;
    let entities = found.iter().map(|job| entity::jobs::bridge(&call.ctx, job)).collect();
    Ok(call.page(page, entities, Some(total)))
}

/// `GET /projects/:id/jobs/:job_id`
pub async fn show(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadJobs).await?;
    let found = jobs::find(&call.ctx, &access, call.id("job_id")?).await?;
    Ok(respond::ok(entity::jobs::full(&call.ctx, &found)))
}

/// `GET /job`: the job that the job token belongs to
pub async fn current(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let found = jobs::of_token(&call.ctx, &call.caller).await?;
    Ok(respond::ok(entity::jobs::full(&call.ctx, &found)))
}

/// `GET /projects/:id/jobs/:job_id/trace`
pub async fn trace(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadTrace).await?;
    let id = call.id::<JobId>("job_id")?;
    let trace = traces::read(&call.ctx, &access, id).await?;
    let mut response = Body::from_stream(trace.body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if let Ok(value) = HeaderValue::from_str(&format!("infile; filename=\"{id}.log\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(trace.size));
    Ok(response)
}

/// `POST /projects/:id/jobs/:job_id/cancel`
pub async fn cancel(call: Call) -> Result<Response> {
    let access = call.project(Action::UpdateJob).await?;
    let mut fields = call.params.fields();
    let force = fields.boolean("force").unwrap_or(false);
    fields.check()?;
    if force {
        access.standing.demand(Action::ForceCancelJob)?;
    }
    let canceled = jobs::cancel(&call.ctx, &access, call.id("job_id")?, force).await?;
    Ok(respond::created(entity::jobs::full(&call.ctx, &canceled)))
}

/// `POST /projects/:id/jobs/:job_id/retry`
pub async fn retry(call: Call) -> Result<Response> {
    let access = call.project(Action::UpdateJob).await?;
    let user = call.caller.signed_in()?;
    let retried = jobs::retry(&call.ctx, &access, user, call.id("job_id")?).await?;
    Ok(respond::created(entity::jobs::any(&call.ctx, &retried)))
}

/// `POST /projects/:id/jobs/:job_id/play`
pub async fn play(call: Call) -> Result<Response> {
    let access = call.project(Action::UpdateJob).await?;
    let mut fields = call.params.fields();
    let variables = fields.hashes("job_variables_attributes", new_variable).unwrap_or_default();
    fields.check()?;
    let user = call.caller.signed_in()?;
    let played = jobs::play(&call.ctx, &access, user, call.id("job_id")?, variables).await?;
    Ok(respond::ok(entity::jobs::any(&call.ctx, &played)))
}

/// `POST /projects/:id/jobs/:job_id/unschedule`: in GitLab on its pages only
pub async fn unschedule(call: Call) -> Result<Response> {
    let access = call.project(Action::UpdateJob).await?;
    let user = call.caller.signed_in()?;
    let found = jobs::unschedule(&call.ctx, &access, user, call.id("job_id")?).await?;
    Ok(respond::ok(entity::jobs::any(&call.ctx, &found)))
}

/// `POST /projects/:id/jobs/:job_id/erase`
pub async fn erase(call: Call) -> Result<Response> {
    let access = call.project(Action::UpdateJob).await?;
    let user = call.caller.signed_in()?;
    let erased = jobs::erase(&call.ctx, &access, user, call.id("job_id")?).await?;
    Ok(respond::created(entity::jobs::full(&call.ctx, &erased)))
}
