//! Tags. Source: `lib/api/tags.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use weir_git::RefOrder;
use weir_store::Sort;

use super::branches::{keyset, keyset_page};
use super::pipelines::SORTS;
use crate::app::refs::At;
use crate::app::tags;
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of tags.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{id}/repository/tags", get(list).post(create))
        .route("/projects/{id}/repository/tags/{tag_name}", get(show).delete(delete))
}

/// `order_by`: the order when ascending, and when descending.
const ORDERS: &[(&str, [RefOrder; 2])] = &[
    ("name", [RefOrder::Name, RefOrder::NameDescending]),
    ("updated", [RefOrder::Updated, RefOrder::UpdatedDescending]),
    ("version", [RefOrder::Version, RefOrder::VersionDescending]),
];

/// `GET /projects/:id/repository/tags`
pub async fn list(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::ReadCode).await?;
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let search = fields.text("search");
    let [ascending, descending] =
        fields.choice("order_by", ORDERS).unwrap_or([RefOrder::Updated, RefOrder::UpdatedDescending]);
    let sort = fields.choice("sort", SORTS).unwrap_or(Sort::Desc);
    let (keyset, token) = (keyset(&mut fields), fields.text("page_token"));
    fields.check()?;
    let order = if sort == Sort::Asc { ascending } else { descending };
    let at = if keyset { At::After(token.as_deref()) } else { At::Offset };
    let (found, total) = tags::list(&call.ctx, &access, search.as_deref(), order, at, page).await?;
    let next = found.last().map(|it| it.tag.name.to_string());
    let entities: Vec<_> =
        found.iter().map(|it| entity::tags::full(&call.ctx, &access.project, it)).collect();
    Ok(if keyset { keyset_page(&call, page, entities, next) } else { call.page(page, entities, Some(total)) })
}

/// `GET /projects/:id/repository/tags/:tag_name`
pub async fn show(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadCode).await?;
    let found = tags::find(&call.ctx, &access, call.path("tag_name")).await?;
    Ok(respond::ok(entity::tags::full(&call.ctx, &access.project, &found)))
}

/// `POST /projects/:id/repository/tags`
pub async fn create(call: Call) -> Result<Response> {
    let access = call.project(Action::WriteCode).await?;
    let mut fields = call.params.fields();
    let (name, target) = (fields.present("tag_name"), fields.present("ref"));
    let message = fields.text("message");
    fields.check()?;
    let user = call.caller.signed_in()?;
    let created = tags::create(&call.ctx, &access, user, &name, &target, message.as_deref()).await?;
    Ok(respond::created(entity::tags::full(&call.ctx, &access.project, &created)))
}

/// `DELETE /projects/:id/repository/tags/:tag_name`
pub async fn delete(call: Call) -> Result<Response> {
    let access = call.project(Action::WriteCode).await?;
    let user = call.caller.signed_in()?;
    tags::delete(&call.ctx, &access, user, call.path("tag_name"), call.unmodified_since()).await?;
    Ok(respond::no_content())
}
