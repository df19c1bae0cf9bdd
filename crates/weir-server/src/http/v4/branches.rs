//! Branches. Source: `lib/api/branches.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use weir_git::RefOrder;

use crate::app::branches;
use crate::app::refs::At;
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::params::Fields;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of branches. A name may hold slashes, encoded or not.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{id}/repository/branches", get(list).post(create))
        .route("/projects/{id}/repository/branches/{*branch}", get(show).head(exists).delete(delete))
}

/// `sort`.
const ORDERS: &[(&str, RefOrder)] = &[
    ("name_asc", RefOrder::Name),
    ("updated_asc", RefOrder::Updated),
    ("updated_desc", RefOrder::UpdatedDescending),
];

/// `GET /projects/:id/repository/branches`
pub async fn list(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::ReadCode).await?;
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let search = fields.text("search");
    let order = fields.choice("sort", ORDERS).unwrap_or_default();
    let (keyset, token) = (keyset(&mut fields), fields.text("page_token"));
    fields.check()?;
    let at = if keyset { At::After(token.as_deref()) } else { At::Offset };
    let (found, total) = branches::list(&call.ctx, &access, search.as_deref(), order, at, page).await?;
    let next = found.last().map(|it| it.branch.name.to_string());
    let entities: Vec<_> =
        found.iter().map(|it| entity::branches::full(&call.ctx, &access.project, it)).collect();
    Ok(if keyset { keyset_page(&call, page, entities, next) } else { call.page(page, entities, Some(total)) })
}

/// Whether pages follow each other by the last name instead of their number.
pub(super) fn keyset(fields: &mut Fields<'_>) -> bool {
    const PAGINATIONS: &[(&str, bool)] = &[("keyset", true), ("legacy", false), ("none", false)];
    fields.choice("pagination", PAGINATIONS).unwrap_or(false)
}

/// A page that names its last element, as long as it is full.
pub(super) fn keyset_page<T: serde::Serialize>(
    call: &Call,
    page: Page,
    entities: Vec<T>,
    last: Option<String>,
) -> Response {
    let full = i64::try_from(entities.len()).is_ok_and(|count| count == page.per_page);
    let next = last.filter(|_| full).map(|name| ("page_token", name));
    call.keyset_page(page, entities, next)
}

/// `GET /projects/:id/repository/branches/:branch`
pub async fn show(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadCode).await?;
    let name = branches::name(call.path("branch"))?;
    let found = branches::find(&call.ctx, &access, &name).await?;
    Ok(respond::ok(entity::branches::full(&call.ctx, &access.project, &found)))
}

/// `HEAD /projects/:id/repository/branches/:branch`
pub async fn exists(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadCode).await?;
    if branches::exists(&call.ctx, &access.project, call.path("branch")).await? {
        Ok(respond::no_content())
    } else {
        Err(Error::NotFound(""))
    }
}

/// `POST /projects/:id/repository/branches`
pub async fn create(call: Call) -> Result<Response> {
    let access = call.project(Action::WriteCode).await?;
    let mut fields = call.params.fields();
    let (branch, from) = (fields.required("branch"), fields.required("ref"));
    fields.check()?;
    let user = call.caller.signed_in()?;
    let created = branches::create(&call.ctx, &access, user, &branch, &from).await?;
    Ok(respond::created(entity::branches::full(&call.ctx, &access.project, &created)))
}

/// `DELETE /projects/:id/repository/branches/:branch`
pub async fn delete(call: Call) -> Result<Response> {
    let access = call.project(Action::WriteCode).await?;
    let name = branches::name(call.path("branch"))?;
    let user = call.caller.signed_in()?;
    branches::delete(&call.ctx, &access, user, &name, call.unmodified_since()).await?;
    Ok(respond::no_content())
}
