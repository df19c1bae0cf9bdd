//! Forks. Source: `lib/api/projects.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use weir_api::id::NamespaceId;

use super::projects::page;
use crate::app::forks::{self, NewFork, Place};
use crate::app::projects::{self, Filter};
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::http::entity;
use crate::http::params::Fields;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of forks.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{id}/fork", post(create).delete(unlink))
        .route("/projects/{id}/forks", get(list))
}

/// `POST /projects/:id/fork`
pub async fn create(call: Call) -> Result<Response> {
    let user = call.caller.signed_in()?;
    let access = call.project(Action::ReadCode).await?;
    let mut fields = call.params.fields();
    let new = NewFork {
        place: place(&mut fields),
        name: fields.text("name"),
        path: fields.text("path"),
        description: fields.text("description"),
        visibility: fields.word("visibility"),
        branch: fields.text("branches"),
    };
    fields.check()?;
    let project = forks::create(&call.ctx, user, &access.project, new).await?;
    let view = projects::view(&call.ctx, Some(user), project).await?;
    Ok(respond::created(entity::projects::full(&call.ctx, &view)))
}

/// `namespace_id`, `namespace_path`, or the older `namespace` that is either.
fn place(fields: &mut Fields<'_>) -> Place {
    let either = fields.text("namespace").filter(|text| !text.is_empty());
    let path = fields.text("namespace_path").filter(|text| !text.is_empty());
    match (fields.integer("namespace_id"), path, either) {
        (Some(id), _, _) => Place::Id(NamespaceId(id)),
        (None, Some(path), _) => Place::Path(path),
        (None, None, Some(text)) => match text.parse() {
            Ok(id) => Place::Id(id),
            Err(_) => Place::Path(text),
        },
        (None, None, None) => Place::Own,
    }
}

/// `GET /projects/:id/forks`
pub async fn list(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadProject).await?;
    page(&call, Filter { forked_from: Some(access.project.id), ..Filter::default() }).await
}

/// `DELETE /projects/:id/fork`
pub async fn unlink(call: Call) -> Result<Response> {
    let access = call.project(Action::DeleteProject).await?;
    forks::unlink(&call.ctx, &access.project).await?;
    Ok(respond::no_content())
}
