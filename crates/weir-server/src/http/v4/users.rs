//! Users. Source: `lib/api/users.rb`.

use axum::response::Response;
use weir_api::id::UserId;
use weir_store::users::{Filter, NewUser};

use crate::app::users;
use crate::error::Result;
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::request::Call;
use crate::http::respond;

/// `GET /user`
pub async fn current(call: Call) -> Result<Response> {
    let user = call.caller.signed_in()?;
    Ok(respond::ok(entity::users::current(&call.ctx, user)))
}

/// `GET /users`
pub async fn list(call: Call) -> Result<Response> {
    call.caller.signed_in()?;
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let filter = Filter { username: fields.text("username"), search: fields.text("search") };
    fields.check()?;
    let (users, total) = users::list(&call.ctx, filter, page).await?;
    let entities = users.iter().map(|user| entity::users::basic(&call.ctx, user)).collect();
    Ok(call.page(page, entities, Some(total)))
}

/// `GET /users/:id`
pub async fn show(call: Call) -> Result<Response> {
    call.caller.signed_in()?;
    let user = users::find(&call.ctx, call.id::<UserId>("id")?).await?;
    Ok(respond::ok(entity::users::full(&call.ctx, &user)))
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
    fields.check()?;
    let user = users::create(&call.ctx, new).await?;
    Ok(respond::created(entity::users::current(&call.ctx, &user)))
}

/// `DELETE /users/:id`, for administrators
pub async fn delete(call: Call) -> Result<Response> {
    call.caller.administrator()?;
    users::delete(&call.ctx, call.id("id")?).await?;
    Ok(respond::no_content())
}
