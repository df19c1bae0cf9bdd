//! Webhooks of projects. Source: `lib/api/project_hooks.rb`, `lib/api/hooks/`.

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::json;
use weir_api::hooks::HookEvent;

use crate::app::webhooks::{self, Wanted};
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::params::Fields;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of hooks.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{id}/hooks", get(list).post(create))
        .route("/projects/{id}/hooks/{hook_id}", get(show).put(update).delete(delete))
        .route("/projects/{id}/hooks/{hook_id}/test/{trigger}", post(test))
        .route("/projects/{id}/hooks/{hook_id}/events", get(events))
        .route("/projects/{id}/hooks/{hook_id}/events/{event_id}/resend", post(resend))
}

/// `branch_filter_strategy`.
const STRATEGIES: &[(&str, &str)] =
    &[("wildcard", "wildcard"), ("regex", "regex"), ("all_branches", "all_branches")];

/// `GET /projects/:id/hooks`
pub async fn list(call: Call) -> Result<Response> {
    let access = call.project(Action::AdminProject).await?;
    let page = Page::read(&call.params)?;
    let found = webhooks::list(&call.ctx, access.project.id).await?;
    let entities = page.slice(&found).iter().map(|it| entity::hooks::full(&call.ctx, it)).collect();
    Ok(call.page(page, entities, Some(found.len() as u64)))
}

/// `GET /projects/:id/hooks/:hook_id`
pub async fn show(call: Call) -> Result<Response> {
    let access = call.project(Action::AdminProject).await?;
    let found = webhooks::find(&call.ctx, access.project.id, call.id("hook_id")?).await?;
    Ok(respond::ok(entity::hooks::full(&call.ctx, &found)))
}

fn wanted(fields: &mut Fields<'_>) -> Wanted {
    Wanted {
        url: fields.text("url"),
        token: fields.text("token"),
        name: fields.text("name"),
        description: fields.text("description"),
        events: HookEvent::ALL
            .iter()
            .filter_map(|event| fields.boolean(event.as_str()).map(|on| (*event, on)))
            .collect(),
        branch_filter: fields.text("push_events_branch_filter"),
        branch_filter_strategy: fields.choice("branch_filter_strategy", STRATEGIES),
        ssl_verification: fields.boolean("enable_ssl_verification"),
    }
}

/// `POST /projects/:id/hooks`
pub async fn create(call: Call) -> Result<Response> {
    let access = call.project(Action::AdminProject).await?;
    let mut fields = call.params.fields();
    fields.required("url");
    let wanted = wanted(&mut fields);
    fields.check()?;
    let made = webhooks::create(&call.ctx, access.project.id, wanted).await?;
    Ok(respond::created(entity::hooks::full(&call.ctx, &made)))
}

/// `PUT /projects/:id/hooks/:hook_id`
pub async fn update(call: Call) -> Result<Response> {
    let access = call.project(Action::AdminProject).await?;
    let mut fields = call.params.fields();
    let wanted = wanted(&mut fields);
    fields.check()?;
    let changed = webhooks::update(&call.ctx, access.project.id, call.id("hook_id")?, wanted).await?;
    Ok(respond::ok(entity::hooks::full(&call.ctx, &changed)))
}

/// `DELETE /projects/:id/hooks/:hook_id`
pub async fn delete(call: Call) -> Result<Response> {
    let access = call.project(Action::AdminProject).await?;
    webhooks::delete(&call.ctx, access.project.id, call.id("hook_id")?).await?;
    Ok(respond::no_content())
}

/// `POST /projects/:id/hooks/:hook_id/test/:trigger`
pub async fn test(call: Call) -> Result<Response> {
    let access = call.project(Action::AdminProject).await?;
    let user = call.caller.signed_in()?;
    let mut fields = call.params.fields();
    let event = fields.word::<HookEvent>("trigger");
    fields.check()?;
    let event = event.unwrap_or(HookEvent::Push);
    let sent = webhooks::test(&call.ctx, access.project.id, call.id("hook_id")?, event, user).await?;
    match sent.error {
        None => Ok(respond::created(json!({ "message": "201 Created" }))),
        Some(error) => Err(Error::Unacceptable(error.into())),
    }
}

/// `status`: the texts between which the statuses lie.
fn statuses(status: Option<&str>) -> Result<(String, String)> {
    let (from, to) = match status {
        None => ("", "~"),
        Some("successful") => ("200", "299"),
        Some("client_failure") => ("400", "499"),
        Some("server_failure") => ("500", "599"),
        Some(code) if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit()) => (code, code),
        Some(_) => return Err(Error::parameter("status has a value not allowed")),
    };
    Ok((from.to_owned(), to.to_owned()))
}

/// `GET /projects/:id/hooks/:hook_id/events`
pub async fn events(call: Call) -> Result<Response> {
    let access = call.project(Action::AdminProject).await?;
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let status = fields.text("status");
    fields.check()?;
    let between = statuses(status.as_deref())?;
    let (found, total) =
        webhooks::attempts(&call.ctx, access.project.id, call.id("hook_id")?, between, page).await?;
    Ok(call.page(page, found.iter().map(entity::hooks::log).collect(), Some(total)))
}

/// `POST /projects/:id/hooks/:hook_id/events/:event_id/resend`
pub async fn resend(call: Call) -> Result<Response> {
    let access = call.project(Action::AdminProject).await?;
    let (hook, event) = (call.id("hook_id")?, call.id("event_id")?);
    let sent = webhooks::resend(&call.ctx, access.project.id, hook, event).await?;
    match sent.error {
        None => Ok(respond::created(json!({ "response_status": sent.status.parse::<u16>().ok() }))),
        Some(error) => Err(Error::Unacceptable(error.into())),
    }
}
