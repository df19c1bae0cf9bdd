//! Pipeline schedules. Source: `lib/api/ci/pipeline_schedules.rb`.

use axum::Json;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use weir_api::pipelines::PipelineVariable;
use weir_store::Sort;
use weir_store::pipelines::Filter;

use super::pipelines::{SORTS, filter};
use crate::app::pipeline_schedules::{self as schedules, Change, run};
use crate::app::pipelines;
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::params::Fields;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of schedules.
pub fn routes() -> Router<Ctx> {
    const ONE: &str = "/projects/{id}/pipeline_schedules/{pipeline_schedule_id}";
    Router::new()
        .route("/projects/{id}/pipeline_schedules", get(list).post(create))
        .route(ONE, get(show).put(update).delete(delete))
        .route(&format!("{ONE}/pipelines"), get(list_pipelines))
        .route(&format!("{ONE}/take_ownership"), post(take_ownership))
        .route(&format!("{ONE}/play"), post(play))
        .route(&format!("{ONE}/variables"), get(list_variables).post(create_variable))
        .route(
            &format!("{ONE}/variables/{{key}}"),
            get(show_variable).put(update_variable).delete(delete_variable),
        )
}

/// `scope`.
const SCOPES: &[(&str, bool)] = &[("active", true), ("inactive", false)];

/// `GET /projects/:id/pipeline_schedules`
pub async fn list(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadSchedules).await?;
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let active = fields.choice("scope", SCOPES);
    fields.check()?;
    let (found, total) = schedules::list(&call.ctx, &access, active, page).await?;
    let entity = |(schedule, owner): &(_, Option<_>)| {
        entity::pipeline_schedules::listed(&call.ctx, schedule, owner.as_ref())
    };
    Ok(call.page(page, found.iter().map(entity).collect(), Some(total)))
}

/// `GET /projects/:id/pipeline_schedules/:pipeline_schedule_id`
pub async fn show(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadSchedules).await?;
    let user = call.caller.signed_in()?;
    let found = schedules::find(&call.ctx, &access, user, call.id("pipeline_schedule_id")?).await?;
    Ok(respond::ok(entity::pipeline_schedules::full(&call.ctx, &access.project, &found)))
}

/// `GET /projects/:id/pipeline_schedules/:pipeline_schedule_id/pipelines`
pub async fn list_pipelines(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadSchedules).await?;
    let schedule = schedules::row(&call.ctx, &access, call.id("pipeline_schedule_id")?).await?;
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let sort = fields.choice("sort", SORTS).unwrap_or(Sort::Asc);
    let filter = Filter { pipeline_schedule_id: Some(schedule.id), sort, ..filter(&mut fields) };
    fields.check()?;
    let (found, total) = pipelines::list(&call.ctx, &access.project, filter, page).await?;
    let entities = found.iter().map(|it| entity::pipelines::basic(&call.ctx, &access.project, it)).collect();
    Ok(call.page(page, entities, Some(total)))
}

/// What a request asks for with a schedule.
fn change(fields: &mut Fields<'_>) -> Change {
    let input = |fields: &mut Fields<'_>| {
        let name = fields.present("name");
        let destroy = fields.boolean("destroy").unwrap_or_default();
        (name, if destroy { None } else { fields.present_value("value") })
    };
    Change {
        description: fields.text("description"),
        git_ref: fields.text("ref"),
        cron: fields.text("cron"),
        cron_timezone: fields.text("cron_timezone"),
        active: fields.boolean("active"),
        inputs: fields.hashes("inputs", input).unwrap_or_default(),
    }
}

/// `POST /projects/:id/pipeline_schedules`
pub async fn create(call: Call) -> Result<Response> {
    let access = call.project(Action::CreateSchedule).await?;
    let mut fields = call.params.fields();
    fields.present("description");
    fields.required("ref");
    fields.present("cron");
    let change = change(&mut fields);
    fields.check()?;
    let user = call.caller.signed_in()?;
    let created = schedules::create(&call.ctx, &access, user, change).await?;
    Ok(respond::created(entity::pipeline_schedules::full(&call.ctx, &access.project, &created)))
}

/// `PUT /projects/:id/pipeline_schedules/:pipeline_schedule_id`
pub async fn update(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadSchedules).await?;
    let mut fields = call.params.fields();
    let change = change(&mut fields);
    fields.check()?;
    let (id, user) = (call.id("pipeline_schedule_id")?, call.caller.signed_in()?);
    let updated = schedules::update(&call.ctx, &access, user, id, change).await?;
    Ok(respond::ok(entity::pipeline_schedules::full(&call.ctx, &access.project, &updated)))
}

/// `POST /projects/:id/pipeline_schedules/:pipeline_schedule_id/take_ownership`
pub async fn take_ownership(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadSchedules).await?;
    let (id, user) = (call.id("pipeline_schedule_id")?, call.caller.signed_in()?);
    let (owned, changed) = schedules::take_ownership(&call.ctx, &access, user, id).await?;
    let entity = entity::pipeline_schedules::full(&call.ctx, &access.project, &owned);
    Ok(if changed { respond::created(entity) } else { respond::ok(entity) })
}

/// `DELETE /projects/:id/pipeline_schedules/:pipeline_schedule_id`
pub async fn delete(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadSchedules).await?;
    let (id, user) = (call.id("pipeline_schedule_id")?, call.caller.signed_in()?);
    schedules::delete(&call.ctx, &access, user, id, call.unmodified_since()).await?;
    Ok(respond::no_content())
}

/// `POST /projects/:id/pipeline_schedules/:pipeline_schedule_id/play`
pub async fn play(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadSchedules).await?;
    let (id, user) = (call.id("pipeline_schedule_id")?, call.caller.signed_in()?);
    run::play(&call.ctx, &access, user, id).await?;
    Ok(respond::created(serde_json::json!({ "message": "201 Created" })))
}

/// `GET /projects/:id/pipeline_schedules/:pipeline_schedule_id/variables`
pub async fn list_variables(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadSchedules).await?;
    let (id, user) = (call.id("pipeline_schedule_id")?, call.caller.signed_in()?);
    Ok(respond::ok(schedules::read_variables(&call.ctx, &access, user, id).await?))
}

/// `GET /projects/:id/pipeline_schedules/:pipeline_schedule_id/variables/:key`
pub async fn show_variable(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadSchedules).await?;
    let (id, user) = (call.id("pipeline_schedule_id")?, call.caller.signed_in()?);
    Ok(respond::ok(schedules::variable(&call.ctx, &access, user, id, call.path("key")).await?))
}

/// `POST /projects/:id/pipeline_schedules/:pipeline_schedule_id/variables`
pub async fn create_variable(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadSchedules).await?;
    let mut fields = call.params.fields();
    let new = PipelineVariable {
        key: fields.required("key"),
        value: fields.present("value"),
        variable_type: fields.word("variable_type").unwrap_or_default(),
        raw: None,
    };
    fields.check()?;
    let (id, user) = (call.id("pipeline_schedule_id")?, call.caller.signed_in()?);
    Ok(respond::created(schedules::add_variable(&call.ctx, &access, user, id, new).await?))
}

/// `PUT /projects/:id/pipeline_schedules/:pipeline_schedule_id/variables/:key`
pub async fn update_variable(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadSchedules).await?;
    let mut fields = call.params.fields();
    let change = (fields.text("value"), fields.word("variable_type"));
    fields.check()?;
    let (id, user) = (call.id("pipeline_schedule_id")?, call.caller.signed_in()?);
    Ok(respond::ok(schedules::change_variable(&call.ctx, &access, user, id, call.path("key"), change).await?))
}

/// `DELETE /projects/:id/pipeline_schedules/:pipeline_schedule_id/variables/:key`
pub async fn delete_variable(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadSchedules).await?;
    let (id, user) = (call.id("pipeline_schedule_id")?, call.caller.signed_in()?);
    let removed = schedules::remove_variable(&call.ctx, &access, user, id, call.path("key")).await?;
    Ok((StatusCode::ACCEPTED, Json(removed)).into_response())
}
