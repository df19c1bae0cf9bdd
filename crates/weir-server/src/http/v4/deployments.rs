//! Deployments. Source: `lib/api/deployments.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use weir_api::environments::DeploymentStatus;
use weir_store::Sort;
use weir_store::deployments::{Filter, OrderBy};

use super::pipelines::SORTS;
use crate::app::deployments::{self, Reported};
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::params::Fields;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of deployments.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{id}/deployments", get(list).post(create))
        .route("/projects/{id}/deployments/{deployment_id}", get(show).put(update).delete(delete))
        .route("/projects/{id}/deployments/{deployment_id}/merge_requests", get(merge_requests))
}

/// `order_by`. Ids, numbers and times of creation give the same order.
const ORDERS: &[(&str, OrderBy)] = &[
    ("id", OrderBy::Id),
    ("iid", OrderBy::Id),
    ("created_at", OrderBy::Id),
    ("updated_at", OrderBy::UpdatedAt),
    ("finished_at", OrderBy::FinishedAt),
    ("ref", OrderBy::Ref),
];
/// `status` of what is reported.
const REPORTED: &[(&str, DeploymentStatus)] = &[
    ("running", DeploymentStatus::Running),
    ("success", DeploymentStatus::Success),
    ("failed", DeploymentStatus::Failed),
    ("canceled", DeploymentStatus::Canceled),
];

/// Which deployments, in which order. Source: `app/finders/deployments_finder.rb`.
fn filter(mut fields: Fields<'_>) -> Result<Filter> {
    let mut filter = Filter {
        environment: fields.text("environment").filter(|name| !name.is_empty()),
        status: fields.word("status"),
        updated_after: fields.parsed("updated_after"),
        updated_before: fields.parsed("updated_before"),
        finished_after: fields.parsed("finished_after"),
        finished_before: fields.parsed("finished_before"),
        order_by: fields.choice("order_by", ORDERS).unwrap_or_default(),
        sort: fields.choice("sort", SORTS).unwrap_or(Sort::Asc),
    };
    fields.check()?;
    let updated = filter.updated_after.is_some() || filter.updated_before.is_some();
    let finished = filter.finished_after.is_some() || filter.finished_before.is_some();
    let refuse = |reason: &str| Err(Error::BadRequest(reason.to_owned()));
    if updated && finished {
        return refuse("Both `updated_at` filter and `finished_at` filter can not be specified");
    }
    if finished != (filter.order_by == OrderBy::FinishedAt) {
        return refuse("`finished_at` filter and `finished_at` sorting must be paired");
    }
    if finished && filter.status != Some(DeploymentStatus::Success) {
        return refuse("`finished_at` filter must be combined with `success` status filter.");
    }
    if updated {
        filter.order_by = OrderBy::UpdatedAt;
    }
    Ok(filter)
}

/// `GET /projects/:id/deployments`
pub async fn list(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::ReadDeployments).await?;
    let page = Page::read(&call.params)?;
    let filter = filter(call.params.fields())?;
    let (found, total) = deployments::list(&call.ctx, &access, filter, page).await?;
    let entities = found.iter().map(|it| entity::environments::deployment(&call.ctx, it)).collect();
    Ok(call.page(page, entities, Some(total)))
}

/// `GET /projects/:id/deployments/:deployment_id`
pub async fn show(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::ReadDeployments).await?;
    let found = deployments::find(&call.ctx, &access, call.id("deployment_id")?).await?;
    Ok(respond::ok(entity::environments::deployment(&call.ctx, &found)))
}

/// `POST /projects/:id/deployments`
pub async fn create(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::CreateDeployment).await?;
    let mut fields = call.params.fields();
    fields.required("tag");
    fields.required("status");
    let new = Reported {
        environment: fields.present("environment"),
        sha: fields.present("sha"),
        ref_name: fields.present("ref"),
        tag: fields.boolean("tag").unwrap_or(false),
        status: fields.choice("status", REPORTED).unwrap_or(DeploymentStatus::Running),
    };
    fields.check()?;
    let user = call.caller.signed_in()?;
    let made = deployments::create(&call.ctx, &access, user, new).await?;
    Ok(respond::created(entity::environments::deployment(&call.ctx, &made)))
}

/// `PUT /projects/:id/deployments/:deployment_id`
pub async fn update(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::UpdateDeployment).await?;
    let mut fields = call.params.fields();
    fields.required("status");
    let status = fields.choice("status", REPORTED).unwrap_or(DeploymentStatus::Running);
    fields.check()?;
    let changed = deployments::update(&call.ctx, &access, call.id("deployment_id")?, status).await?;
    Ok(respond::ok(entity::environments::deployment(&call.ctx, &changed)))
}

/// `DELETE /projects/:id/deployments/:deployment_id`
pub async fn delete(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::DeleteDeployment).await?;
    deployments::delete(&call.ctx, &access, call.id("deployment_id")?).await?;
    Ok(respond::no_content())
}

/// `GET /projects/:id/deployments/:deployment_id/merge_requests`: none, for there are none yet.
pub async fn merge_requests(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::ReadDeployments).await?;
    let page = Page::read(&call.params)?;
    deployments::find(&call.ctx, &access, call.id("deployment_id")?).await?;
    Ok(call.page(page, Vec::<serde_json::Value>::new(), Some(0)))
}
