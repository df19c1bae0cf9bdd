//! Resource groups. Source: `lib/api/ci/resource_groups.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use weir_api::ProcessMode;

use crate::app::resource_groups;
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of resource groups.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{id}/resource_groups", get(list))
        .route("/projects/{id}/resource_groups/{key}", get(show).put(update))
        .route("/projects/{id}/resource_groups/{key}/current_job", get(current_job))
        .route("/projects/{id}/resource_groups/{key}/upcoming_jobs", get(upcoming_jobs))
}

/// `GET /projects/:id/resource_groups`
pub async fn list(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadResourceGroups).await?;
    let page = Page::read(&call.params)?;
    let (found, total) = resource_groups::list(&call.ctx, access.project.id, page).await?;
    Ok(call.page(page, found.iter().map(entity::resource_groups::full).collect(), Some(total)))
}

/// `GET /projects/:id/resource_groups/:key`
pub async fn show(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadResourceGroups).await?;
    let found = resource_groups::find(&call.ctx, access.project.id, call.path("key")).await?;
    Ok(respond::ok(entity::resource_groups::full(&found)))
}

/// `PUT /projects/:id/resource_groups/:key`
pub async fn update(call: Call) -> Result<Response> {
    let access = call.project(Action::UpdateResourceGroup).await?;
    let mut fields = call.params.fields();
    let mode = fields.word::<ProcessMode>("process_mode");
    fields.check()?;
    let (project, key) = (access.project.id, call.path("key"));
    let changed = resource_groups::set_process_mode(&call.ctx, project, key, mode).await?;
    Ok(respond::ok(entity::resource_groups::full(&changed)))
}

/// `GET /projects/:id/resource_groups/:key/current_job`: null if the resource is free
pub async fn current_job(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadResourceGroups).await?;
    access.standing.demand(Action::ReadJobs)?;
    let found = resource_groups::current_job(&call.ctx, &access, call.path("key")).await?;
    Ok(respond::ok(found.map(|job| entity::jobs::basic(&call.ctx, &job))))
}

/// `GET /projects/:id/resource_groups/:key/upcoming_jobs`
pub async fn upcoming_jobs(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadResourceGroups).await?;
    access.standing.demand(Action::ReadJobs)?;
    let page = Page::read(&call.params)?;
    let (found, total) = resource_groups::upcoming_jobs(&call.ctx, &access, call.path("key"), page).await?;
    let entities = found.iter().map(|job| entity::jobs::basic(&call.ctx, job)).collect();
    Ok(call.page(page, entities, Some(total)))
}
