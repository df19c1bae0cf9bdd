//! Trigger tokens, and the calls that start pipelines with them. Source: `lib/api/ci/triggers.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::Value;
use weir_api::Secret;

use crate::app::triggers;
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::params::Params;
use crate::http::request::{Call, RunnerCall};
use crate::http::respond;

/// Routes of triggers.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{id}/trigger/pipeline", post(trigger_pipeline))
        .route("/projects/{id}/ref/{*ref}", post(trigger_ref))
        .route("/projects/{id}/triggers", get(list).post(create))
        .route("/projects/{id}/triggers/{trigger_id}", get(show).put(update).delete(delete))
}

/// `POST /projects/:id/trigger/pipeline`
pub async fn trigger_pipeline(call: RunnerCall) -> Result<Response> {
    trigger(call).await
}

/// `POST /projects/:id/ref/:ref/trigger/pipeline`; the ref may hold slashes.
pub async fn trigger_ref(mut call: RunnerCall) -> Result<Response> {
    let path = call.params.text("ref").unwrap_or_default();
    let git_ref = path.strip_suffix("/trigger/pipeline").ok_or(Error::NoRoute)?.to_owned();
    call.params.set("ref", git_ref);
    trigger(call).await
}

/// Nobody is signed in here: the token alone says for whom the pipeline runs.
async fn trigger(mut call: RunnerCall) -> Result<Response> {
    // The hook of a pipeline that starts a pipeline would never end.
    if call.headers.get("x-gitlab-event").is_some_and(|event| event == "Pipeline Hook") {
        return Err(Error::Forbidden(None));
    }
    let mut fields = call.params.fields();
    let (git_ref, token) = (fields.required("ref"), fields.present("token"));
    let (variables, inputs) = (fields.object("variables"), fields.object("inputs"));
    fields.check()?;
    let variables = variables.unwrap_or_default().into_iter().map(|(key, value)| match value {
        Value::String(text) => Ok((key, text)),
        _ => Err(Error::Invalid("variables needs to be a map of key-valued strings".into())),
    });
    let asked = triggers::Call {
        project: call.params.text("id").unwrap_or_default().to_owned(),
        token: Secret::from(token),
        git_ref,
        variables: variables.collect::<Result<_>>()?,
        inputs: inputs.unwrap_or_default(),
        payload: payload(&mut call.params),
    };
    let (project, created) = triggers::trigger_pipeline(&call.ctx, asked).await?;
    Ok(respond::created(entity::pipelines::full(&call.ctx, &project, &created)))
}

/// All parameters as JSON, but for those that open something.
fn payload(params: &mut Params) -> String {
    for hidden in ["token", "private_token", "access_token", "job_token"] {
        params.remove(hidden);
    }
    params.json()
}

/// `GET /projects/:id/triggers`
pub async fn list(call: Call) -> Result<Response> {
    let access = call.project(Action::AdminTriggers).await?;
    let page = Page::read(&call.params)?;
    let caller = call.caller.signed_in()?;
    let (found, total) = triggers::list(&call.ctx, &access, caller, page).await?;
    let entities = found.iter().map(|it| entity::triggers::full(&call.ctx, it)).collect();
    Ok(call.page(page, entities, Some(total)))
}

/// `GET /projects/:id/triggers/:trigger_id`
pub async fn show(call: Call) -> Result<Response> {
    let access = call.project(Action::AdminTriggers).await?;
    let caller = call.caller.signed_in()?;
    let found = triggers::find(&call.ctx, &access, caller, call.id("trigger_id")?).await?;
    Ok(respond::ok(entity::triggers::full(&call.ctx, &found)))
}

/// `POST /projects/:id/triggers`
pub async fn create(call: Call) -> Result<Response> {
    let mut fields = call.params.fields();
    let (description, expires_at) = (fields.present("description"), fields.parsed("expires_at"));
    let access = call.project(Action::AdminTriggers).await?;
    fields.check()?;
    let caller = call.caller.signed_in()?;
    let created = triggers::create(&call.ctx, &access, caller, description, expires_at).await?;
    Ok(respond::created(entity::triggers::full(&call.ctx, &created)))
}

/// `PUT /projects/:id/triggers/:trigger_id`
pub async fn update(call: Call) -> Result<Response> {
    call.caller.signed_in()?;
    let access = call.project(Action::ReadProject).await?;
    let mut fields = call.params.fields();
    let description = fields.text("description");
    fields.check()?;
    let (id, caller) = (call.id("trigger_id")?, call.caller.signed_in()?);
    let updated = triggers::update(&call.ctx, &access, caller, id, description).await?;
    Ok(respond::ok(entity::triggers::full(&call.ctx, &updated)))
}

/// `DELETE /projects/:id/triggers/:trigger_id`
pub async fn delete(call: Call) -> Result<Response> {
    let access = call.project(Action::AdminTriggers).await?;
    triggers::delete(&call.ctx, &access, call.id("trigger_id")?, call.unmodified_since()).await?;
    Ok(respond::no_content())
}
