//! Groups. Source: `lib/api/groups.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;
use weir_api::id::NamespaceId;
use weir_api::{AccessLevel, Visibility};
use weir_store::namespaces::{Filter, OrderBy};

use crate::app::groups::{self, Change, New};
use crate::app::{access, projects};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of groups.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/groups", get(list).post(create))
        .route("/groups/{id}", get(show).put(update).delete(delete))
        .route("/groups/{id}/projects", get(projects_of))
        .route("/groups/{id}/subgroups", get(subgroups))
        .route("/groups/{id}/descendant_groups", get(descendants))
}

/// `order_by`.
const ORDERS: &[(&str, OrderBy)] =
    &[("name", OrderBy::Name), ("path", OrderBy::Path), ("id", OrderBy::Id), ("similarity", OrderBy::Name)];
/// `sort`; whether it is the greatest first.
const SORTS: &[(&str, bool)] = &[("asc", false), ("desc", true)];

/// `GET /groups`
pub async fn list(call: Call) -> Result<Response> {
    page(&call, Filter::default()).await
}

/// One page of the groups that the caller sees and `within` lets pass.
async fn page(call: &Call, within: Filter) -> Result<Response> {
    let user = call.caller.user();
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let owned = fields.boolean("owned").unwrap_or(false);
    let minimum = fields.word::<AccessLevel>("min_access_level");
    let filter = Filter {
        search: fields.text("search").filter(|text| !text.is_empty()),
        top_level_only: fields.boolean("top_level_only").unwrap_or(false),
        visibility: fields.word("visibility"),
        order_by: fields.choice("order_by", ORDERS).unwrap_or(OrderBy::Name),
        descending: fields.choice("sort", SORTS).unwrap_or(false),
        public_only: user.is_none(),
        visible_to: user.filter(|user| !user.admin).map(|user| user.id),
        owned_by: user.filter(|_| owned).map(|user| user.id),
        member: user.zip(minimum).map(|(user, level)| (user.id, level)),
        ..within
    };
    fields.check()?;
    if owned || minimum.is_some() {
        call.caller.signed_in()?;
    }
    let (groups, total) = groups::list(&call.ctx, filter, page).await?;
    let entities = groups.iter().map(|group| entity::groups::group(&call.ctx, group)).collect();
    Ok(call.page(page, entities, Some(total)))
}

/// `POST /groups`
pub async fn create(call: Call) -> Result<Response> {
    let user = call.caller.signed_in()?;
    let mut fields = call.params.fields();
    let new = New {
        name: fields.required("name"),
        path: fields.required("path"),
        description: fields.text("description").unwrap_or_default(),
        visibility: fields.word("visibility").unwrap_or(Visibility::Private),
        parent_id: fields.integer("parent_id").map(NamespaceId),
    };
    fields.check()?;
    let group = groups::create(&call.ctx, user, new).await?;
    Ok(respond::created(entity::groups::group(&call.ctx, &group)))
}

/// `GET /groups/:id`, with its projects unless `with_projects` is false
pub async fn show(call: Call) -> Result<Response> {
    let (group, _) = access::group(&call.ctx, &call.caller, call.path("id"), AccessLevel::NoAccess).await?;
    let mut fields = call.params.fields();
    let with_projects = fields.boolean("with_projects").unwrap_or(true);
    fields.check()?;
    let mut entity = entity::groups::group(&call.ctx, &group);
    entity.extra.insert("shared_with_groups".to_owned(), json!([]));
    if with_projects {
        let of_group = projects::Filter { namespace_id: Some(group.id), ..projects::Filter::default() };
        let filter = projects::visible(call.caller.user(), of_group);
        let (views, _) = projects::list(&call.ctx, call.caller.user(), filter, projects::OF_GROUP).await?;
        let views: Vec<_> = views.iter().map(|view| entity::projects::full(&call.ctx, view)).collect();
        entity.extra.insert("projects".to_owned(), serde_json::to_value(views).map_err(into_internal)?);
        entity.extra.insert("shared_projects".to_owned(), json!([]));
    }
    Ok(respond::ok(entity))
}

fn into_internal(error: serde_json::Error) -> Error {
    Error::Internal(Box::new(error))
}

/// `PUT /groups/:id`
pub async fn update(call: Call) -> Result<Response> {
    let (group, _) = access::group(&call.ctx, &call.caller, call.path("id"), AccessLevel::Owner).await?;
    let mut fields = call.params.fields();
    let change = Change {
        name: fields.text("name").filter(|text| !text.is_empty()),
        path: fields.text("path").filter(|text| !text.is_empty()),
        description: fields.text("description"),
        visibility: fields.word("visibility"),
        shared_runners_enabled: fields.choice("shared_runners_setting", RUNNERS_SETTINGS),
    };
    fields.check()?;
    let group = groups::update(&call.ctx, group, change).await?;
    Ok(respond::ok(entity::groups::group(&call.ctx, &group)))
}

/// `shared_runners_setting`; whether instance runners are on.
const RUNNERS_SETTINGS: &[(&str, bool)] = &[
    ("enabled", true),
    ("disabled_and_overridable", false),
    ("disabled_and_unoverridable", false),
    ("disabled_with_override", false),
];

/// `DELETE /groups/:id`
pub async fn delete(call: Call) -> Result<Response> {
    let (group, _) = access::group(&call.ctx, &call.caller, call.path("id"), AccessLevel::Owner).await?;
    groups::delete(&call.ctx, group.id).await?;
    Ok(respond::accepted())
}

/// `GET /groups/:id/projects`
pub async fn projects_of(call: Call) -> Result<Response> {
    let (group, _) = access::group(&call.ctx, &call.caller, call.path("id"), AccessLevel::NoAccess).await?;
    let mut fields = call.params.fields();
    let deep = fields.boolean("include_subgroups").unwrap_or(false);
    fields.check()?;
    let of_group = projects::Filter {
        namespace_id: Some(group.id).filter(|_| !deep),
        below: Some(group.id).filter(|_| deep),
        ..projects::Filter::default()
    };
    super::projects::page(&call, of_group).await
}

/// `GET /groups/:id/subgroups`
pub async fn subgroups(call: Call) -> Result<Response> {
    let (group, _) = access::group(&call.ctx, &call.caller, call.path("id"), AccessLevel::NoAccess).await?;
    page(&call, Filter { parent_id: Some(group.id), ..Filter::default() }).await
}

/// `GET /groups/:id/descendant_groups`
pub async fn descendants(call: Call) -> Result<Response> {
    let (group, _) = access::group(&call.ctx, &call.caller, call.path("id"), AccessLevel::NoAccess).await?;
    page(&call, Filter { below: Some(group.id), ..Filter::default() }).await
}
