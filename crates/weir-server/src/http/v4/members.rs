//! Members of projects and groups. Source: `lib/api/members.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use weir_api::id::UserId;
use weir_api::{AccessLevel, Timestamp};
use weir_store::members::{Filter, Source};

use crate::app::access;
use crate::app::members::{self, Wanted};
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::params::Fields;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of members.
pub fn routes() -> Router<Ctx> {
    let of_projects = Router::new()
        .route("/members", get(of_project::list).post(of_project::create))
        .route("/members/all", get(of_project::list_all))
        .route("/members/all/{user_id}", get(of_project::show_any))
        .route(
            "/members/{user_id}",
            get(of_project::show).put(of_project::update).delete(of_project::delete),
        );
    let of_groups = Router::new()
        .route("/members", get(of_group::list).post(of_group::create))
        .route("/members/all", get(of_group::list_all))
        .route("/members/all/{user_id}", get(of_group::show_any))
        .route("/members/{user_id}", get(of_group::show).put(of_group::update).delete(of_group::delete));
    Router::new().nest("/projects/{id}", of_projects).nest("/groups/{id}", of_groups)
}

/// Of what the path names a member, and how the caller stands to it.
struct Place {
    source: Source,
    /// The caller's level there.
    level: AccessLevel,
    /// Whether the caller may manage members.
    manages: bool,
}

/// The handlers, once for projects and once for groups, which differ in how the path's id is found.
macro_rules! handlers {
    ($module:ident, $find:ident) => {
        mod $module {
            use super::{$find as find, *};

            pub(super) async fn list(call: Call) -> Result<Response> {
                let place = find(&call, false).await?;
                super::list(&call, &place, false).await
            }

            pub(super) async fn list_all(call: Call) -> Result<Response> {
                let place = find(&call, false).await?;
                super::list(&call, &place, true).await
            }

            pub(super) async fn show(call: Call) -> Result<Response> {
                let place = find(&call, false).await?;
                super::show(&call, &place, false).await
            }

            pub(super) async fn show_any(call: Call) -> Result<Response> {
                let place = find(&call, false).await?;
                super::show(&call, &place, true).await
            }

            pub(super) async fn create(call: Call) -> Result<Response> {
                let place = find(&call, true).await?;
                super::create(&call, &place).await
            }

            pub(super) async fn update(call: Call) -> Result<Response> {
                let place = find(&call, true).await?;
                super::update(&call, &place).await
            }

            pub(super) async fn delete(call: Call) -> Result<Response> {
                let place = find(&call, false).await?;
                super::delete(&call, &place).await
            }
        }
    };
}

handlers!(of_project, project);
handlers!(of_group, group);

async fn project(call: &Call, to_manage: bool) -> Result<Place> {
    let action = if to_manage { Action::AdminMembers } else { Action::ReadMembers };
    let access = call.project(action).await?;
    let manages = access.standing.may(Action::AdminMembers);
    Ok(Place { source: Source::Project(access.project.id), level: access.standing.level, manages })
}

async fn group(call: &Call, to_manage: bool) -> Result<Place> {
    call.caller.signed_in()?;
    let minimum = if to_manage { AccessLevel::Owner } else { AccessLevel::NoAccess };
    let (group, level) = access::group(&call.ctx, &call.caller, call.path("id"), minimum).await?;
    Ok(Place { source: Source::Group(group.id), level, manages: level >= AccessLevel::Owner })
}

/// `GET …/members` and `GET …/members/all`
async fn list(call: &Call, place: &Place, inherited: bool) -> Result<Response> {
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let filter =
        Filter { inherited, query: fields.text("query").filter(|text| !text.is_empty()), user_id: None };
    fields.check()?;
    let (found, total) = members::list(&call.ctx, place.source, filter, page).await?;
    let entities = found.iter().map(|view| entity::members::member(&call.ctx, view)).collect();
    Ok(call.page(page, entities, Some(total)))
}

/// `GET …/members/:user_id` and `GET …/members/all/:user_id`
async fn show(call: &Call, place: &Place, inherited: bool) -> Result<Response> {
    let view = members::find(&call.ctx, place.source, call.id("user_id")?, inherited).await?;
    Ok(respond::ok(entity::members::member(&call.ctx, &view)))
}

/// `POST …/members`
async fn create(call: &Call, place: &Place) -> Result<Response> {
    let caller = call.caller.signed_in()?.id;
    let mut fields = call.params.fields();
    let user_id = UserId(fields.required_integer("user_id"));
    let wanted = wanted(&mut fields);
    fields.check()?;
    let view = members::create(&call.ctx, place.source, (caller, place.level), user_id, wanted).await?;
    Ok(respond::created(entity::members::member(&call.ctx, &view)))
}

/// `PUT …/members/:user_id`
async fn update(call: &Call, place: &Place) -> Result<Response> {
    let mut fields = call.params.fields();
    let keep_expiry = !fields.given("expires_at");
    let wanted = wanted(&mut fields);
    fields.check()?;
    let user_id = call.id("user_id")?;
    let view = members::update(&call.ctx, place.source, place.level, user_id, wanted, keep_expiry).await?;
    Ok(respond::ok(entity::members::member(&call.ctx, &view)))
}

/// `DELETE …/members/:user_id`
async fn delete(call: &Call, place: &Place) -> Result<Response> {
    let caller = (call.caller.signed_in()?.id, place.level);
    members::delete(&call.ctx, place.source, caller, place.manages, call.id("user_id")?).await?;
    Ok(respond::no_content())
}

fn wanted(fields: &mut Fields<'_>) -> Wanted {
    let number = fields.required_integer("access_level");
    let level = AccessLevel::from_number(number)
        .filter(|level| (AccessLevel::Minimal..=AccessLevel::Owner).contains(level));
    if level.is_none() && number != 0 {
        fields.refuse("access_level does not have a valid value");
    }
    let expires_on = fields.text("expires_at").filter(|text| !text.is_empty());
    let expires_on = expires_on.and_then(|text| match text.parse::<Timestamp>() {
        Ok(at) => Some(at.date()),
        Err(_) => {
            fields.refuse("expires_at is invalid");
            None
        }
    });
    Wanted { access_level: level.unwrap_or(AccessLevel::NoAccess), expires_on }
}
