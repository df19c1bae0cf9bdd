//! Personal access tokens. Source: `lib/api/personal_access_tokens.rb`,
//! `lib/api/personal_access_tokens/self_information.rb`, `lib/api/users.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use weir_api::TokenScope;
use weir_api::id::UserId;
use weir_store::tokens::{Filter, Token};

use crate::app::tokens::{self, Made, New};
use crate::auth::Caller;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::params::Fields;
use crate::http::request::Call;
use crate::http::respond;

/// Their routes.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/users/{id}/personal_access_tokens", post(create_for))
        .route("/user/personal_access_tokens", post(create_own))
        .route("/personal_access_tokens", get(list))
        .route("/personal_access_tokens/self", get(show_self).delete(delete_self))
        .route("/personal_access_tokens/self/rotate", post(rotate_self))
        .route("/personal_access_tokens/{id}", get(show).delete(delete))
        .route("/personal_access_tokens/{id}/rotate", post(rotate_one))
}

/// The scopes that users may give themselves over the API.
const OWN_SCOPES: [TokenScope; 2] = [TokenScope::K8sProxy, TokenScope::SelfRotate];

/// `GET /personal_access_tokens`: the caller's, and everyone's for administrators
pub async fn list(call: Call) -> Result<Response> {
    let user = call.caller.signed_in()?;
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let user_id = fields.integer("user_id").map(UserId);
    let revoked = fields.boolean("revoked");
    let state = fields.text("state");
    if state.as_deref().is_some_and(|state| !matches!(state, "active" | "inactive")) {
        fields.refuse("state does not have a valid value");
    }
    fields.check()?;
    let user_id = match user_id {
        Some(id) if id != user.id && !user.admin => return Err(Error::Unauthorized),
        None if !user.admin => Some(user.id),
        asked => asked,
    };
    let active = state.map(|state| (state == "active", call.ctx.now()));
    let filter = Filter { user_id, revoked, active };
    let (tokens, total) = tokens::list(&call.ctx, filter, page).await?;
    let now = call.ctx.now();
    let entities = tokens.iter().map(|token| entity::tokens::token(token, now)).collect();
    Ok(call.page(page, entities, Some(total)))
}

/// `GET /personal_access_tokens/self`
pub async fn show_self(call: Call) -> Result<Response> {
    let token = own(&call)?;
    Ok(respond::ok(entity::tokens::token(token, call.ctx.now())))
}

/// `GET /personal_access_tokens/:id`
pub async fn show(call: Call) -> Result<Response> {
    let user = call.caller.signed_in()?;
    let token = tokens::find(&call.ctx, user, call.id("id")?).await?;
    Ok(respond::ok(entity::tokens::token(&token, call.ctx.now())))
}

/// `POST /users/:user_id/personal_access_tokens`, for administrators
pub async fn create_for(call: Call) -> Result<Response> {
    call.caller.administrator()?;
    let mut fields = call.params.fields();
    let new = new(&mut fields);
    fields.check()?;
    let made = tokens::create(&call.ctx, call.id("id")?, new).await?;
    Ok(respond::created(with_text(&call, made)))
}

/// `POST /user/personal_access_tokens`, with few scopes and for one day
pub async fn create_own(call: Call) -> Result<Response> {
    let user = call.caller.signed_in()?;
    let mut fields = call.params.fields();
    let mut new = new(&mut fields);
    if new.scopes.iter().any(|scope| !OWN_SCOPES.contains(scope)) {
        fields.refuse("scopes does not have a valid value");
    }
    fields.check()?;
    new.expires_at = new.expires_at.or_else(|| call.ctx.now().plus_secs(86_400).date().parse().ok());
    let made = tokens::create(&call.ctx, user.id, new).await?;
    Ok(respond::created(with_text(&call, made)))
}

/// `POST /personal_access_tokens/self/rotate`
pub async fn rotate_self(call: Call) -> Result<Response> {
    let token = own(&call)?.clone();
    rotate(&call, token).await
}

/// `POST /personal_access_tokens/:id/rotate`
pub async fn rotate_one(call: Call) -> Result<Response> {
    let user = call.caller.signed_in()?;
    let token = tokens::find(&call.ctx, user, call.id("id")?).await?;
    rotate(&call, token).await
}

/// `DELETE /personal_access_tokens/self`
pub async fn delete_self(call: Call) -> Result<Response> {
    let (user, token) = (call.caller.signed_in()?, own(&call)?);
    tokens::revoke(&call.ctx, user, token.id).await?;
    Ok(respond::no_content())
}

/// `DELETE /personal_access_tokens/:id`
pub async fn delete(call: Call) -> Result<Response> {
    let user = call.caller.signed_in()?;
    tokens::revoke(&call.ctx, user, call.id("id")?).await?;
    Ok(respond::no_content())
}

/// The token of this very call.
fn own(call: &Call) -> Result<&Token> {
    match &call.caller {
        Caller::User { token, .. } => Ok(token),
        _ => Err(Error::Unauthorized),
    }
}

fn new(fields: &mut Fields<'_>) -> New {
    let name = fields.required("name");
    if !fields.given("scopes") {
        fields.refuse("scopes is missing");
    }
    New {
        name,
        description: fields.text("description"),
        scopes: fields.words("scopes"),
        expires_at: fields.parsed("expires_at"),
    }
}

async fn rotate(call: &Call, token: Token) -> Result<Response> {
    let mut fields = call.params.fields();
    let expires_at = fields.parsed("expires_at");
    fields.check()?;
    let made = tokens::rotate(&call.ctx, token, expires_at).await?;
    Ok(respond::ok(with_text(call, made)))
}

fn with_text(call: &Call, (token, text): Made) -> weir_api::tokens::PersonalAccessToken {
    entity::tokens::with_text(&token, text, call.ctx.now())
}
