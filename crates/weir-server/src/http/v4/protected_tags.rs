//! Protected tags. Source: `lib/api/protected_tags.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use weir_api::AccessLevel;

use super::protected_branches::LEVELS;
use crate::app::protected_refs;
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of protected tags.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{id}/protected_tags", get(list).post(create))
        .route("/projects/{id}/protected_tags/{name}", get(show).delete(delete))
}

/// `GET /projects/:id/protected_tags`
pub async fn list(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadProtectedRefs).await?;
    let page = Page::read(&call.params)?;
    let tags = protected_refs::tags(&call.ctx, access.project.id).await?;
    let entities = page.slice(&tags).iter().map(entity::protected_refs::tag).collect();
    Ok(call.page(page, entities, Some(tags.len() as u64)))
}

/// `GET /projects/:id/protected_tags/:name`
pub async fn show(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadProtectedRefs).await?;
    let tag = protected_refs::tag(&call.ctx, access.project.id, call.path("name")).await?;
    Ok(respond::ok(entity::protected_refs::tag(&tag)))
}

/// `POST /projects/:id/protected_tags`
pub async fn create(call: Call) -> Result<Response> {
    let access = call.project(Action::AdminProtectedRefs).await?;
    let mut fields = call.params.fields();
    let name = fields.required("name");
    let level = fields.choice("create_access_level", LEVELS).unwrap_or(AccessLevel::Maintainer);
    fields.check()?;
    let tag = protected_refs::protect_tag(&call.ctx, access.project.id, name, level).await?;
    Ok(respond::created(entity::protected_refs::tag(&tag)))
}

/// `DELETE /projects/:id/protected_tags/:name`
pub async fn delete(call: Call) -> Result<Response> {
    let access = call.project(Action::AdminProtectedRefs).await?;
    protected_refs::unprotect_tag(&call.ctx, access.project.id, call.path("name")).await?;
    Ok(respond::no_content())
}
