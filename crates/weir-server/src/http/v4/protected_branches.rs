//! Protected branches. Source: `lib/api/protected_branches.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use weir_api::AccessLevel;
use weir_store::protected_refs::ProtectedBranch;

use crate::app::protected_refs::{self, Change};
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::params::Fields;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of protected branches.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{id}/protected_branches", get(list).post(create))
        .route("/projects/{id}/protected_branches/{name}", get(show).patch(update).delete(delete))
}

/// The levels that a protection can ask for. Source: `ProtectedRefAccess.allowed_access_levels`.
pub(super) const LEVELS: &[(&str, AccessLevel)] = &[
    ("0", AccessLevel::NoAccess),
    ("30", AccessLevel::Developer),
    ("40", AccessLevel::Maintainer),
    ("60", AccessLevel::Admin),
];

/// `GET /projects/:id/protected_branches`
pub async fn list(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadProtectedRefs).await?;
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let search = fields.text("search").filter(|text| !text.is_empty());
    fields.check()?;
    let branches = protected_refs::branches(&call.ctx, access.project.id, search).await?;
    let entities = page.slice(&branches).iter().map(entity::protected_refs::branch).collect();
    Ok(call.page(page, entities, Some(branches.len() as u64)))
}

/// `GET /projects/:id/protected_branches/:name`
pub async fn show(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadProtectedRefs).await?;
    let branch = protected_refs::branch(&call.ctx, access.project.id, call.path("name")).await?;
    Ok(respond::ok(entity::protected_refs::branch(&branch)))
}

/// `POST /projects/:id/protected_branches`
pub async fn create(call: Call) -> Result<Response> {
    let access = call.project(Action::AdminProtectedRefs).await?;
    let mut fields = call.params.fields();
    let new = ProtectedBranch {
        id: 0,
        name: fields.required("name"),
        push_access_level: level(&mut fields, "push_access_level", "allowed_to_push"),
        merge_access_level: level(&mut fields, "merge_access_level", "allowed_to_merge"),
        allow_force_push: fields.boolean("allow_force_push").unwrap_or(false),
    };
    fields.check()?;
    let branch = protected_refs::protect_branch(&call.ctx, access.project.id, new).await?;
    Ok(respond::created(entity::protected_refs::branch(&branch)))
}

/// A level, also by the name that takes several: the lowest of them lets the others in as well.
fn level(fields: &mut Fields<'_>, one: &str, several: &str) -> AccessLevel {
    let levels = fields.hashes(several, |fields| fields.choice("access_level", LEVELS)).unwrap_or_default();
    let lowest = levels.into_iter().flatten().min();
    fields.choice(one, LEVELS).or(lowest).unwrap_or(AccessLevel::Maintainer)
}

/// `PATCH /projects/:id/protected_branches/:name`
pub async fn update(call: Call) -> Result<Response> {
    let access = call.project(Action::AdminProtectedRefs).await?;
    let mut fields = call.params.fields();
    let change = Change { allow_force_push: fields.boolean("allow_force_push") };
    fields.check()?;
    let branch =
        protected_refs::update_branch(&call.ctx, access.project.id, call.path("name"), change).await?;
    Ok(respond::ok(entity::protected_refs::branch(&branch)))
}

/// `DELETE /projects/:id/protected_branches/:name`
pub async fn delete(call: Call) -> Result<Response> {
    let access = call.project(Action::AdminProtectedRefs).await?;
    protected_refs::unprotect_branch(&call.ctx, access.project.id, call.path("name")).await?;
    Ok(respond::no_content())
}
