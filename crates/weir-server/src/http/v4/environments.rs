//! Environments. Source: `lib/api/environments.rb`.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete as delete_route, get, post};
use serde_json::json;
use weir_api::environments::{EnvironmentBasic, EnvironmentState};
use weir_store::environments::Filter;

use crate::app::access::Access;
use crate::app::environments::{self, Change};
use crate::app::projects::{self, View};
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::params::Fields;
use crate::http::request::Call;
use crate::http::respond;

/// The shortest text to search for.
const MIN_SEARCH: usize = 3;
/// Seconds of a day.
const DAY: i64 = 24 * 3600;
/// The age in days from which a review app is deleted, unless asked for another.
const REVIEW_APP_AGE: i64 = 30;
/// Environments deleted by one request: unless asked, and at most.
const REVIEW_APPS: (i64, i64) = (100, 1000);

/// Routes of environments.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{id}/environments", get(list).post(create))
        .route("/projects/{id}/environments/stop_stale", post(stop_stale))
        .route("/projects/{id}/environments/review_apps", delete_route(delete_review_apps))
        .route("/projects/{id}/environments/{environment_id}", get(show).put(update).delete(delete))
        .route("/projects/{id}/environments/{environment_id}/stop", post(stop))
}

async fn view(call: &Call, access: &Access) -> Result<View> {
    projects::view(&call.ctx, call.caller.user(), access.project.clone()).await
}

/// `GET /projects/:id/environments`
pub async fn list(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::ReadEnvironments).await?;
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let filter = Filter {
        name: fields.text("name"),
        search: fields.text("search").filter(|text| !text.trim().is_empty()),
        state: fields.word::<EnvironmentState>("states"),
    };
    if filter.name.is_some() && filter.search.is_some() {
        fields.refuse("name, search cannot be used together");
    }
    fields.check()?;
    if filter.search.as_ref().is_some_and(|text| text.chars().count() < MIN_SEARCH) {
        return Err(Error::BadRequest(format!("Search query is less than {MIN_SEARCH} characters")));
    }
    let (found, total) = environments::list(&call.ctx, &access, filter, page).await?;
    let view = view(&call, &access).await?;
    let entities = found.iter().map(|it| entity::environments::listed(&call.ctx, &view, it)).collect();
    Ok(call.page(page, entities, Some(total)))
}

/// `GET /projects/:id/environments/:environment_id`
pub async fn show(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::ReadEnvironments).await?;
    let found = environments::find(&call.ctx, &access, call.id("environment_id")?).await?;
    let last = environments::last_deployment(&call.ctx, &access, found.id).await?;
    Ok(respond::ok(entity::environments::single(&call.ctx, &found, last.as_ref())))
}

fn change(fields: &mut Fields<'_>) -> Change {
    if fields.given("slug") {
        fields.refuse("slug is automatically generated and cannot be changed");
    }
    let mut text = |key: &str| fields.given(key).then(|| fields.text(key));
    Change {
        external_url: text("external_url"),
        description: text("description"),
        tier: fields.word("tier"),
        auto_stop_setting: fields.word("auto_stop_setting"),
    }
}

/// `POST /projects/:id/environments`
pub async fn create(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::CreateEnvironment).await?;
    let mut fields = call.params.fields();
    let name = fields.present("name");
    let change = change(&mut fields);
    fields.check()?;
    let made = environments::create(&call.ctx, &access, &name, change).await?;
    let view = view(&call, &access).await?;
    Ok(respond::created(entity::environments::listed(&call.ctx, &view, &made)))
}

/// `PUT /projects/:id/environments/:environment_id`
pub async fn update(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::UpdateEnvironment).await?;
    let mut fields = call.params.fields();
    let change = change(&mut fields);
    fields.check()?;
    let changed = environments::update(&call.ctx, &access, call.id("environment_id")?, change).await?;
    let view = view(&call, &access).await?;
    Ok(respond::ok(entity::environments::listed(&call.ctx, &view, &changed)))
}

/// `DELETE /projects/:id/environments/:environment_id`
pub async fn delete(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::DeleteEnvironment).await?;
    let since = call.unmodified_since();
    environments::delete(&call.ctx, &access, call.id("environment_id")?, since).await?;
    Ok(respond::no_content())
}

/// `POST /projects/:id/environments/:environment_id/stop`
pub async fn stop(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::UpdateEnvironment).await?;
    let mut fields = call.params.fields();
    let force = fields.boolean("force").unwrap_or(false);
    fields.check()?;
    let stopped = environments::stop(&call.ctx, &access, call.id("environment_id")?, force).await?;
    let view = view(&call, &access).await?;
    Ok(respond::ok(entity::environments::listed(&call.ctx, &view, &stopped)))
}

/// `POST /projects/:id/environments/stop_stale`
pub async fn stop_stale(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::StopEnvironments).await?;
    let mut fields = call.params.fields();
    fields.required("before");
    let before = fields.parsed::<weir_api::Timestamp>("before");
    fields.check()?;
    let now = call.ctx.now();
    let last = now.plus_secs(-7 * DAY);
    let before = before
        .filter(|at| *at >= now.plus_secs(-3653 * DAY) && *at <= last)
        .ok_or_else(|| Error::BadRequest("Invalid Date".to_owned()))?;
    environments::stop_stale(&call.ctx, &access, before).await?;
    Ok(respond::ok(json!({ "message": "Successfully scheduled stale environments to stop" })))
}

/// `DELETE /projects/:id/environments/review_apps`
pub async fn delete_review_apps(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::ReadEnvironments).await?;
    let mut fields = call.params.fields();
    let before = fields.parsed("before");
    let limit = fields.integer("limit").unwrap_or(REVIEW_APPS.0);
    if !(1..=REVIEW_APPS.1).contains(&limit) {
        fields.refuse("limit does not have a valid value");
    }
    let dry_run = fields.boolean("dry_run").unwrap_or(true);
    fields.check()?;
    if !access.standing.may(Action::DeleteEnvironment) {
        let reason = "You do not have permission to destroy environments in this project";
        return Ok(review_apps(axum::http::StatusCode::UNAUTHORIZED, &[], Some(reason)));
    }
    let before = before.unwrap_or_else(|| call.ctx.now().plus_secs(-REVIEW_APP_AGE * DAY));
    let found = environments::delete_review_apps(&call.ctx, &access, before, limit, dry_run).await?;
    if found.is_empty() {
        let reason = "No environments found for scheduled deletion. Either your query did not match any \
                      environments (default parameters match environments that are 30 days or older), or you \
                      have insufficient permissions to delete matching environments.";
        return Ok(review_apps(axum::http::StatusCode::BAD_REQUEST, &[], Some(reason)));
    }
    let entries: Vec<_> = found.iter().map(entity::environments::basic).collect();
    Ok(review_apps(axum::http::StatusCode::OK, &entries, None))
}

fn review_apps(
    status: axum::http::StatusCode,
    scheduled: &[EnvironmentBasic],
    message: Option<&str>,
) -> Response {
    let mut body = json!({ "scheduled_entries": scheduled, "unprocessable_entries": [] });
    if let Some(message) = message {
        body["message"] = message.into();
    }
    (status, axum::Json(body)).into_response()
}
