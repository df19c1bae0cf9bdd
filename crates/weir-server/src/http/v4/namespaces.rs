//! Namespaces. Source: `lib/api/namespaces.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use weir_api::id::NamespaceId;
use weir_api::namespaces::NamespaceExistence;
use weir_store::namespaces::Filter;

use crate::app::namespaces;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of namespaces.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/namespaces", get(list))
        .route("/namespaces/{id}", get(show))
        .route("/namespaces/{id}/exists", get(exists))
}

/// `GET /namespaces`: those in which the caller has a part, and all for administrators
pub async fn list(call: Call) -> Result<Response> {
    let user = call.caller.signed_in()?;
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let owned = fields.boolean("owned_only").unwrap_or(false);
    let filter = Filter {
        search: fields.text("search").filter(|text| !text.is_empty()),
        top_level_only: fields.boolean("top_level_only").unwrap_or(false),
        owned_by: Some(user.id).filter(|_| owned && !user.admin),
        part_of: Some(user.id).filter(|_| !owned && !user.admin),
        ..Filter::default()
    };
    fields.check()?;
    let (found, total) = namespaces::list(&call.ctx, user, filter, page).await?;
    let entities = found.iter().map(|view| entity::namespaces::full(&call.ctx, view)).collect();
    Ok(call.page(page, entities, Some(total)))
}

/// `GET /namespaces/:id`
pub async fn show(call: Call) -> Result<Response> {
    let user = call.caller.signed_in()?;
    let view = namespaces::find(&call.ctx, user, call.path("id")).await?;
    Ok(respond::ok(entity::namespaces::full(&call.ctx, &view)))
}

/// `GET /namespaces/:id/exists`
pub async fn exists(call: Call) -> Result<Response> {
    call.caller.signed_in()?;
    let mut fields = call.params.fields();
    let parent = fields.integer("parent_id").map(NamespaceId);
    fields.check()?;
    let (exists, suggestion) = namespaces::exists(&call.ctx, call.path("id"), parent).await?;
    Ok(respond::ok(NamespaceExistence { exists, suggests: suggestion.into_iter().collect() }))
}
