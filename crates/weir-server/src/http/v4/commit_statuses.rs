//! Commit statuses. Source: `lib/api/commit_statuses.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use weir_api::id::PipelineId;
use weir_engine::external::Report;
use weir_store::commit_statuses::Words;

use super::commits::filled;
use super::pipelines::SORTS;
use crate::app::commit_statuses::{self, Asked, NewStatus};
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of commit statuses.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{id}/repository/commits/{sha}/statuses", get(list))
        .route("/projects/{id}/statuses/{sha}", post(create))
}

/// `order_by`: whether pipelines come first.
const ORDERS: &[(&str, bool)] = &[("id", false), ("pipeline_id", true)];
/// `state`.
const STATES: &[(&str, Report)] = &[
    ("pending", Report::Pending),
    ("running", Report::Running),
    ("success", Report::Success),
    ("failed", Report::Failed),
    ("canceled", Report::Canceled),
    ("skipped", Report::Skipped),
];

/// `GET /projects/:id/repository/commits/:sha/statuses`
pub async fn list(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadCommitStatuses).await?;
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let asked = Asked {
        ref_name: filled(&mut fields, "ref"),
        stage: filled(&mut fields, "stage"),
        name: filled(&mut fields, "name"),
        pipeline_id: fields.integer("pipeline_id").map(PipelineId),
        all: fields.boolean("all").unwrap_or_default(),
        by_pipeline: fields.choice("order_by", ORDERS).unwrap_or_default(),
        sort: fields.choice("sort", SORTS).unwrap_or(weir_store::Sort::Asc),
    };
    fields.check()?;
    let (found, total) =
        commit_statuses::list(&call.ctx, &access.project, call.path("sha"), asked, page).await?;
    let entities =
        found.iter().map(|it| entity::commit_statuses::full(&call.ctx, &access.project, it)).collect();
    Ok(call.page(page, entities, Some(total)))
}

/// `POST /projects/:id/statuses/:sha`
pub async fn create(call: Call) -> Result<Response> {
    let access = call.project(Action::CreateCommitStatus).await?;
    let mut fields = call.params.fields();
    let report = fields.choice("state", STATES);
    if call.params.get("state").is_none() {
        fields.required("state");
    }
    let name = filled(&mut fields, "name").or_else(|| filled(&mut fields, "context"));
    let words = Words {
        target_url: fields.text("target_url"),
        description: fields.text("description"),
        coverage: fields.parsed::<f64>("coverage").filter(|it| it.is_finite()),
    };
    let ref_name = filled(&mut fields, "ref");
    let pipeline_id = fields.integer("pipeline_id").map(PipelineId);
    fields.check()?;
    let new = NewStatus {
        name: name.unwrap_or_else(|| "default".to_owned()),
        report: report.unwrap_or(Report::Pending),
        ref_name,
        pipeline_id,
        words,
    };
    let user = call.caller.signed_in()?;
    let made = commit_statuses::report(&call.ctx, &access, user, call.path("sha"), new).await?;
    Ok(respond::created(entity::commit_statuses::full(&call.ctx, &access.project, &made)))
}
