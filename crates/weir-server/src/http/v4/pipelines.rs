//! Pipelines. Source: `lib/api/ci/pipelines.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post, put};
use weir_api::id::{JobId, PipelineId};
use weir_api::{JobStatus, VariableType};
use weir_store::Sort;
use weir_store::pipelines::{Filter, OrderBy, Scope};

use crate::app::pipelines::{self, NewVariable};
use crate::app::rerun::{self, What};
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::params::Fields;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of pipelines.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{id}/pipelines", get(list))
        .route("/projects/{id}/pipeline", post(create))
        .route("/projects/{id}/pipelines/latest", get(latest))
        .route("/projects/{id}/pipelines/{pipeline_id}", get(show).delete(delete))
        .route("/projects/{id}/pipelines/{pipeline_id}/variables", get(variables))
        .route("/projects/{id}/pipelines/{pipeline_id}/cancel", post(cancel))
        .route("/projects/{id}/pipelines/{pipeline_id}/retry", post(retry))
        .route("/projects/{id}/pipelines/{pipeline_id}/rerun", post(run_again))
        .route("/projects/{id}/pipelines/{pipeline_id}/metadata", put(metadata))
}

/// `GET /projects/:id/pipelines`
pub async fn list(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadPipelines).await?;
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let filter = filter(&mut fields);
    fields.check()?;
    let (found, total) = pipelines::list(&call.ctx, &access.project, filter, page).await?;
    let entities = found.iter().map(|it| entity::pipelines::listed(&call.ctx, &access.project, it)).collect();
    Ok(call.page(page, entities, Some(total)))
}

/// `scope`.
const SCOPES: &[(&str, Scope)] = &[
    ("running", Scope::Running),
    ("pending", Scope::Pending),
    ("finished", Scope::Finished),
    ("branches", Scope::Branches),
    ("tags", Scope::Tags),
];
/// `order_by`.
const ORDERS: &[(&str, OrderBy)] = &[
    ("id", OrderBy::Id),
    ("status", OrderBy::Status),
    ("ref", OrderBy::Ref),
    ("updated_at", OrderBy::UpdatedAt),
    ("user_id", OrderBy::UserId),
];
/// `sort`.
pub(super) const SORTS: &[(&str, Sort)] = &[("asc", Sort::Asc), ("desc", Sort::Desc)];

pub(super) fn filter(fields: &mut Fields<'_>) -> Filter {
    Filter {
        scope: fields.choice("scope", SCOPES),
        status: fields.word::<JobStatus>("status"),
        ref_name: fields.text("ref"),
        sha: fields.text("sha"),
        yaml_errors: fields.boolean("yaml_errors"),
        username: fields.text("username"),
        source: fields.word("source"),
        name: fields.text("name"),
        updated_after: fields.parsed("updated_after"),
        updated_before: fields.parsed("updated_before"),
        created_after: fields.parsed("created_after"),
        created_before: fields.parsed("created_before"),
        order_by: fields.choice("order_by", ORDERS).unwrap_or_default(),
        sort: fields.choice("sort", SORTS).unwrap_or_default(),
        ..Filter::default()
    }
}

/// `POST /projects/:id/pipeline`
pub async fn create(call: Call) -> Result<Response> {
    let access = call.project(Action::CreatePipeline).await?;
    let mut fields = call.params.fields();
    let git_ref = fields.required("ref");
    let variables = fields.hashes("variables", new_variable).unwrap_or_default();
    let inputs = fields.object("inputs").unwrap_or_default();
    fields.check()?;
    let user = call.caller.signed_in()?;
    let created = pipelines::create_by_api(&call.ctx, &access, user, &git_ref, variables, inputs).await?;
    Ok(respond::created(entity::pipelines::full(&call.ctx, &access.project, &created)))
}

/// A variable given with a request.
pub(super) fn new_variable(fields: &mut Fields<'_>) -> NewVariable {
    NewVariable {
        key: fields.required("key"),
        value: fields.present("value"),
        variable_type: fields.word("variable_type").unwrap_or(VariableType::EnvVar),
        raw: false,
    }
}

/// `GET /projects/:id/pipelines/latest`
pub async fn latest(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadPipelines).await?;
    let mut fields = call.params.fields();
    let git_ref = fields.text("ref");
    fields.check()?;
    let found = pipelines::latest(&call.ctx, &access.project, git_ref).await?;
    Ok(respond::ok(entity::pipelines::full(&call.ctx, &access.project, &found)))
}

/// `GET /projects/:id/pipelines/:pipeline_id`
pub async fn show(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadPipelines).await?;
    let found = pipelines::find(&call.ctx, &access.project, call.id::<PipelineId>("pipeline_id")?).await?;
    Ok(respond::ok(entity::pipelines::full(&call.ctx, &access.project, &found)))
}

/// `GET /projects/:id/pipelines/:pipeline_id/variables`
pub async fn variables(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadPipelineVariables).await?;
    let found = pipelines::variables(&call.ctx, &access.project, call.id("pipeline_id")?).await?;
    Ok(respond::ok(found))
}

/// `POST /projects/:id/pipelines/:pipeline_id/cancel`
pub async fn cancel(call: Call) -> Result<Response> {
    let access = call.project(Action::UpdatePipeline).await?;
    let canceled = pipelines::cancel(&call.ctx, &access, call.id("pipeline_id")?).await?;
    Ok(respond::ok(entity::pipelines::full(&call.ctx, &access.project, &canceled)))
}

/// `POST /projects/:id/pipelines/:pipeline_id/retry`
pub async fn retry(call: Call) -> Result<Response> {
    let access = call.project(Action::UpdatePipeline).await?;
    let user = call.caller.signed_in()?;
    let retried = pipelines::retry(&call.ctx, &access, user, call.id("pipeline_id")?).await?;
    Ok(respond::created(entity::pipelines::full(&call.ctx, &access.project, &retried)))
}

/// `POST /projects/:id/pipelines/:pipeline_id/rerun`: not in GitLab; see `docs/rerun.md`
pub async fn run_again(call: Call) -> Result<Response> {
    let access = call.project(Action::UpdatePipeline).await?;
    let mut fields = call.params.fields();
    let what = what(&mut fields);
    let variables = fields.hashes("variables", new_variable).unwrap_or_default();
    fields.check()?;
    let what = what.ok_or_else(|| {
        Error::parameter("job_id, job are missing, at least one parameter must be provided".to_owned())
    })?;
    let user = call.caller.signed_in()?;
    let id = call.id("pipeline_id")?;
    let again = rerun::rerun(&call.ctx, &access, user, id, what, &variables).await?;
    Ok(respond::created(entity::pipelines::full(&call.ctx, &access.project, &again)))
}

/// What is to run again; none if a job is to be named and is not.
fn what(fields: &mut Fields<'_>) -> Option<What> {
    let job_id = fields.parsed::<JobId>("job_id").map(What::FromId);
    let job = fields.text("job").map(What::FromName);
    match fields.choice("scope", &[("all", "all"), ("failed", "failed"), ("from", "from")]) {
        Some("from") => job_id.or(job),
        Some("failed") => Some(What::Failed),
        _ => Some(What::All),
    }
}

/// `PUT /projects/:id/pipelines/:pipeline_id/metadata`
pub async fn metadata(call: Call) -> Result<Response> {
    let access = call.project(Action::UpdatePipeline).await?;
    let mut fields = call.params.fields();
    let name = fields.required("name");
    fields.check()?;
    let named = pipelines::rename(&call.ctx, &access.project, call.id("pipeline_id")?, name).await?;
    Ok(respond::ok(entity::pipelines::full(&call.ctx, &access.project, &named)))
}

/// `DELETE /projects/:id/pipelines/:pipeline_id`
pub async fn delete(call: Call) -> Result<Response> {
    let access = call.project(Action::DeletePipeline).await?;
    let unmodified_since = call.unmodified_since();
    pipelines::delete(&call.ctx, &access.project, call.id("pipeline_id")?, unmodified_since).await?;
    Ok(respond::no_content())
}
