//! Users. Source: `lib/api/users.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use weir_api::UserState;
use weir_api::id::UserId;
use weir_store::users::{Filter, NewUser};

use crate::app::users::{self, Change};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::request::Call;
use crate::http::respond;

/// Their routes.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/user", get(current))
        .route("/users", get(list).post(create))
        .route("/users/{id}", get(show).put(update).delete(delete))
        .route("/users/{id}/block", post(block))
        .route("/users/{id}/unblock", post(unblock))
        .route("/users/{id}/activate", post(activate))
        .route("/users/{id}/deactivate", post(deactivate))
}

/// `GET /user`
pub async fn current(call: Call) -> Result<Response> {
    let user = call.caller.signed_in()?;
    Ok(respond::ok(entity::users::current(&call.ctx, user)))
}

/// `GET /users`; without credentials one user can be asked for by name
pub async fn list(call: Call) -> Result<Response> {
    let caller = call.caller.user();
    if caller.is_none() && call.params.text("username").is_none_or(str::is_empty) {
        return Err(Error::forbidden("Not authorized to access /api/v4/users"));
    }
    let administrator = caller.is_some_and(|user| user.admin);
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let (active, blocked) = (fields.boolean("active"), fields.boolean("blocked"));
    let filter = Filter {
        username: fields.text("username").filter(|text| !text.is_empty()),
        search: fields.text("search").filter(|text| !text.is_empty()),
        state: match (active, blocked) {
            (Some(true), _) => Some(UserState::Active),
            (_, Some(true)) => Some(UserState::Blocked),
            _ => None,
        },
        admin: fields.boolean("admins").filter(|admins| *admins && administrator),
    };
    fields.check()?;
    let (users, total) = users::list(&call.ctx, filter, page).await?;
    if administrator {
        let entities = users.iter().map(|user| entity::users::current(&call.ctx, user)).collect();
        return Ok(call.page(page, entities, Some(total)));
    }
    let entities = users.iter().map(|user| entity::users::basic(&call.ctx, user)).collect();
    Ok(call.page(page, entities, Some(total)))
}

/// `GET /users/:id`
pub async fn show(call: Call) -> Result<Response> {
    let Some(caller) = call.caller.user() else { return Err(Error::forbidden("Not authorized!")) };
    let user = users::find(&call.ctx, call.id::<UserId>("id")?).await?;
    Ok(if caller.admin {
        respond::ok(entity::users::current(&call.ctx, &user))
    } else {
        respond::ok(entity::users::full(&call.ctx, &user))
    })
}

/// `POST /users`, for administrators
pub async fn create(call: Call) -> Result<Response> {
    call.caller.administrator()?;
    let mut fields = call.params.fields();
    let new = NewUser {
        email: fields.required("email"),
        username: fields.required("username"),
        name: fields.required("name"),
        admin: fields.boolean("admin").unwrap_or(false),
        bot: false,
    };
    fields.at_least_one(&["password", "reset_password", "force_random_password"]);
    let password = fields.text("password").filter(|text| !text.is_empty());
    fields.check()?;
    let user = users::create(&call.ctx, new, password.map(Into::into)).await?;
    Ok(respond::created(entity::users::current(&call.ctx, &user)))
}

/// `PUT /users/:id`, for administrators
pub async fn update(call: Call) -> Result<Response> {
    call.caller.administrator()?;
    let mut fields = call.params.fields();
    let change = Change {
        name: fields.text("name").filter(|text| !text.is_empty()),
        email: fields.text("email").filter(|text| !text.is_empty()),
        public_email: fields.text("public_email"),
        admin: fields.boolean("admin"),
        password: fields.text("password").filter(|text| !text.is_empty()).map(Into::into),
    };
    fields.check()?;
    let user = users::update(&call.ctx, call.id("id")?, change).await?;
    Ok(respond::ok(entity::users::current(&call.ctx, &user)))
}

/// `DELETE /users/:id`, for administrators
pub async fn delete(call: Call) -> Result<Response> {
    call.caller.administrator()?;
    users::delete(&call.ctx, call.id("id")?).await?;
    Ok(respond::no_content())
}

/// `POST /users/:id/block`, for administrators
pub async fn block(call: Call) -> Result<Response> {
    let administrator = call.caller.administrator()?;
    let id = call.id::<UserId>("id")?;
    if administrator.id == id {
        return Err(Error::forbidden("The API initiating user cannot be blocked by the API"));
    }
    set_state(&call, id, &[UserState::Active, UserState::Deactivated], UserState::Blocked, "blocked").await
}

/// `POST /users/:id/unblock`, for administrators
pub async fn unblock(call: Call) -> Result<Response> {
    call.caller.administrator()?;
    set_state(&call, call.id("id")?, &[UserState::Blocked], UserState::Active, "unblocked").await
}

/// `POST /users/:id/deactivate`, for administrators
pub async fn deactivate(call: Call) -> Result<Response> {
    call.caller.administrator()?;
    set_state(&call, call.id("id")?, &[UserState::Active], UserState::Deactivated, "deactivated").await
}

/// `POST /users/:id/activate`, for administrators
pub async fn activate(call: Call) -> Result<Response> {
    call.caller.administrator()?;
    set_state(&call, call.id("id")?, &[UserState::Deactivated], UserState::Active, "activated").await
}

async fn set_state(
    call: &Call,
    id: UserId,
    from: &'static [UserState],
    to: UserState,
    done: &str,
) -> Result<Response> {
    if users::set_state(&call.ctx, id, from, to).await? {
        Ok(respond::created(true))
    } else {
        Err(Error::forbidden(format!("A user in this state cannot be {done}")))
    }
}
