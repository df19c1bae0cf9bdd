//! Projects. Source: `lib/api/projects.rb`, `lib/api/helpers/projects_helpers.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use weir_api::id::{NamespaceId, ProjectId};
use weir_api::{AccessLevel, FeatureAccess, GitStrategy};
use weir_store::Sort;
use weir_store::projects::OrderBy;

use super::pipelines::SORTS;
use crate::app::projects::{self, Change, Filter, New, Rename, View};
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::params::Fields;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of projects.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects", get(list).post(create))
        .route("/projects/{id}", get(show).put(update).delete(delete))
        .route("/projects/{id}/archive", post(archive))
        .route("/projects/{id}/unarchive", post(unarchive))
        .route("/users/{id}/projects", get(list_of_user))
}

/// `order_by`. What is not counted here orders as `created_at`.
const ORDERS: &[(&str, OrderBy)] = &[
    ("id", OrderBy::Id),
    ("name", OrderBy::Name),
    ("path", OrderBy::Path),
    ("created_at", OrderBy::CreatedAt),
    ("updated_at", OrderBy::UpdatedAt),
    ("last_activity_at", OrderBy::LastActivityAt),
    ("similarity", OrderBy::CreatedAt),
    ("star_count", OrderBy::CreatedAt),
];

/// `GET /projects`
pub async fn list(call: Call) -> Result<Response> {
    page(&call, Filter::default()).await
}

/// `GET /users/:user_id/projects`
pub async fn list_of_user(call: Call) -> Result<Response> {
    let namespace = crate::app::users::namespace(&call.ctx, call.path("id")).await?;
    page(&call, Filter { namespace_id: Some(namespace.id), ..Filter::default() }).await
}

/// One page of the projects that the caller sees and `within` lets pass.
pub(super) async fn page(call: &Call, within: Filter) -> Result<Response> {
    let user = call.caller.user();
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let minimum = fields.word::<AccessLevel>("min_access_level");
    let owned = fields.boolean("owned").unwrap_or(false).then_some(AccessLevel::Owner);
    let membership = fields.boolean("membership").unwrap_or(false).then_some(AccessLevel::Guest);
    let level = [minimum, owned, membership].into_iter().flatten().max();
    let simple = fields.boolean("simple").unwrap_or(false);
    let keyset = fields.text("pagination").is_some_and(|kind| kind == "keyset");
    let order_by = fields.choice("order_by", ORDERS);
    let filter = Filter {
        search: fields.text("search").filter(|text| !text.is_empty()),
        visibility: fields.word("visibility"),
        archived: fields.boolean("archived"),
        id_after: fields.parsed("id_after"),
        id_before: fields.parsed("id_before"),
        order_by: order_by.unwrap_or_default(),
        sort: fields.choice("sort", SORTS).unwrap_or_default(),
        member: user.zip(level).map(|(user, level)| (user.id, level)),
        ..projects::visible(user, within)
    };
    fields.check()?;
    if level.is_some() && user.is_none() {
        // Nobody is a member of nothing.
        return Ok(call.page(page, Vec::<()>::new(), Some(0)));
    }
    if !keyset {
        let (views, total) = projects::list(&call.ctx, user, filter, page).await?;
        return Ok(call.page(page, entities(call, &views, simple)?, Some(total)));
    }
    if order_by.is_some_and(|by| by != OrderBy::Id) {
        return Err(Error::KeysetUnavailable);
    }
    let next = if filter.sort == Sort::Asc { "id_after" } else { "id_before" };
    let filter = Filter { order_by: OrderBy::Id, ..filter };
    let page = Page { page: 1, ..page };
    let (views, more) = projects::list_by_id(&call.ctx, user, filter, page).await?;
    let last: Option<ProjectId> = views.last().map(|view| view.project.id).filter(|_| more);
    Ok(call.keyset_page(page, entities(call, &views, simple)?, last.map(|id| (next, id.to_string()))))
}

fn entities(call: &Call, views: &[View], simple: bool) -> Result<Vec<serde_json::Value>> {
    let entity = |view: &View| {
        if simple || !view.signed_in {
            serde_json::to_value(entity::projects::basic(&call.ctx, view))
        } else {
            serde_json::to_value(entity::projects::full(&call.ctx, view))
        }
    };
    views.iter().map(entity).collect::<Result<_, _>>().map_err(|error| Error::Internal(Box::new(error)))
}

/// `GET /projects/:id`
pub async fn show(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadProject).await?;
    let view = projects::view(&call.ctx, call.caller.user(), access.project).await?;
    Ok(if view.signed_in {
        respond::ok(entity::projects::full(&call.ctx, &view))
    } else {
        respond::ok(entity::projects::basic(&call.ctx, &view))
    })
}

/// `POST /projects`
pub async fn create(call: Call) -> Result<Response> {
    let user = call.caller.signed_in()?;
    let mut fields = call.params.fields();
    fields.at_least_one(&["name", "path"]);
    let new = New {
        name: fields.text("name"),
        path: fields.text("path"),
        namespace_id: fields.integer("namespace_id").map(NamespaceId),
        visibility: fields.word("visibility"),
        default_branch: fields.text("default_branch"),
        with_readme: fields.boolean("initialize_with_readme").unwrap_or(false),
        change: change(&mut fields),
    };
    fields.check()?;
    let project = projects::create(&call.ctx, user, new).await?;
    let view = projects::view(&call.ctx, Some(user), project).await?;
    Ok(respond::created(entity::projects::full(&call.ctx, &view)))
}

/// `PUT /projects/:id`
pub async fn update(call: Call) -> Result<Response> {
    let access = call.project(Action::AdminProject).await?;
    let mut fields = call.params.fields();
    fields.at_least_one(SETTINGS);
    let rename = Rename {
        name: fields.text("name").filter(|text| !text.is_empty()),
        path: fields.text("path").filter(|text| !text.is_empty()),
        visibility: fields.word("visibility"),
        default_branch: fields.text("default_branch").filter(|text| !text.is_empty()),
    };
    let change = change(&mut fields);
    if rename.visibility.is_some_and(|it| it != access.project.visibility) {
        access.standing.demand(Action::ChangeVisibility)?;
    }
    fields.check()?;
    let project = projects::update(&call.ctx, access.project, rename, change).await?;
    let view = projects::view(&call.ctx, call.caller.user(), project).await?;
    Ok(respond::ok(entity::projects::full(&call.ctx, &view)))
}

/// `DELETE /projects/:id`
pub async fn delete(call: Call) -> Result<Response> {
    let access = call.project(Action::DeleteProject).await?;
    projects::delete(&call.ctx, access.project.id).await?;
    Ok(respond::accepted())
}

/// `POST /projects/:id/archive`
pub async fn archive(call: Call) -> Result<Response> {
    set_archived(&call, true).await
}

/// `POST /projects/:id/unarchive`
pub async fn unarchive(call: Call) -> Result<Response> {
    set_archived(&call, false).await
}

async fn set_archived(call: &Call, archived: bool) -> Result<Response> {
    let access = call.project(Action::ArchiveProject).await?;
    let project = projects::set_archived(&call.ctx, access.project.id, archived).await?;
    let view = projects::view(&call.ctx, call.caller.user(), project).await?;
    Ok(respond::created(entity::projects::full(&call.ctx, &view)))
}

/// What an update can change: of these one must be given.
const SETTINGS: &[&str] = &[
    "name",
    "path",
    "default_branch",
    "description",
    "visibility",
    "jobs_enabled",
    "builds_access_level",
    "public_jobs",
    "public_builds",
    "public_pipelines",
    "shared_runners_enabled",
    "group_runners_enabled",
    "build_timeout",
    "ci_config_path",
    "ci_default_git_depth",
    "build_git_strategy",
    "auto_cancel_pending_pipelines",
    "keep_latest_artifact",
    "ci_forward_deployment_enabled",
    "ci_forward_deployment_rollback_allowed",
    "ci_separated_caches",
    "ci_job_token_scope_enabled",
    "ci_push_repository_for_job_token_allowed",
    "ci_allow_fork_pipelines_to_run_in_parent_project",
    "ci_pipeline_variables_minimum_override_role",
    "ci_delete_pipelines_in_seconds",
    "ci_id_token_sub_claim_components",
    "ci_restrict_pipeline_cancellation_role",
    "runner_token_expiration_interval",
    "environments_access_level",
    "restrict_user_defined_variables",
    "only_allow_merge_if_pipeline_succeeds",
    "allow_merge_on_skipped_pipeline",
    "auto_devops_enabled",
    "issues_access_level",
    "merge_requests_access_level",
    "repository_access_level",
    "wiki_access_level",
    "snippets_access_level",
    "forking_access_level",
    "releases_access_level",
    "container_registry_access_level",
    "issues_enabled",
    "merge_requests_enabled",
    "wiki_enabled",
    "snippets_enabled",
    "container_registry_enabled",
    "lfs_enabled",
    "request_access_enabled",
    "merge_method",
    "merge_pipelines_enabled",
    "protect_merge_request_pipelines",
    "remove_source_branch_after_merge",
    "squash_option",
    "topics",
    "tag_list",
    "resource_group_default_process_mode",
];

/// `auto_cancel_pending_pipelines`.
const ON_OR_OFF: &[(&str, bool)] = &[("enabled", true), ("disabled", false)];
/// `ci_restrict_pipeline_cancellation_role`.
const CANCELLATION_ROLES: &[(&str, &str)] =
    &[("developer", "developer"), ("maintainer", "maintainer"), ("no_one", "no_one")];

fn change(fields: &mut Fields<'_>) -> Change {
    let jobs = fields.boolean("jobs_enabled");
    let jobs = jobs.map(|on| if on { FeatureAccess::Enabled } else { FeatureAccess::Disabled });
    // Older names of one setting.
    let public = ["public_jobs", "public_builds", "public_pipelines"];
    let public_jobs = public.into_iter().find_map(|name| fields.boolean(name));
    Change {
        description: given(fields, "description", Fields::text),
        builds_access_level: fields.word("builds_access_level").or(jobs),
        public_jobs,
        shared_runners_enabled: fields.boolean("shared_runners_enabled"),
        group_runners_enabled: fields.boolean("group_runners_enabled"),
        build_timeout: fields.parsed("build_timeout"),
        ci_config_path: given(fields, "ci_config_path", |fields, key| {
            fields.text(key).filter(|path| !path.is_empty())
        }),
        ci_default_git_depth: given(fields, "ci_default_git_depth", Fields::parsed),
        build_git_strategy: fields.word::<GitStrategy>("build_git_strategy"),
        auto_cancel_pending_pipelines: fields.choice("auto_cancel_pending_pipelines", ON_OR_OFF),
        keep_latest_artifact: fields.boolean("keep_latest_artifact"),
        ci_forward_deployment_enabled: fields.boolean("ci_forward_deployment_enabled"),
        ci_forward_deployment_rollback_allowed: fields.boolean("ci_forward_deployment_rollback_allowed"),
        ci_separated_caches: fields.boolean("ci_separated_caches"),
        ci_job_token_scope_enabled: fields.boolean("ci_job_token_scope_enabled"),
        ci_push_repository_for_job_token_allowed: fields.boolean("ci_push_repository_for_job_token_allowed"),
        ci_allow_fork_pipelines_to_run_in_parent_project: fields
            .boolean("ci_allow_fork_pipelines_to_run_in_parent_project"),
        ci_pipeline_variables_minimum_override_role: fields
            .choice("ci_pipeline_variables_minimum_override_role", entity::projects::OVERRIDE_ROLES),
        ci_delete_pipelines_in_seconds: given(fields, "ci_delete_pipelines_in_seconds", Fields::parsed),
        ci_id_token_sub_claim_components: fields.comma_texts("ci_id_token_sub_claim_components"),
        ci_restrict_pipeline_cancellation_role: fields
            .choice("ci_restrict_pipeline_cancellation_role", CANCELLATION_ROLES)
            .map(str::to_owned),
        runner_token_expiration_interval: given(fields, "runner_token_expiration_interval", Fields::parsed),
        environments_access_level: fields.word("environments_access_level"),
        restrict_user_defined_variables: fields.boolean("restrict_user_defined_variables"),
        only_allow_merge_if_pipeline_succeeds: fields.boolean("only_allow_merge_if_pipeline_succeeds"),
        allow_merge_on_skipped_pipeline: fields.boolean("allow_merge_on_skipped_pipeline"),
        resource_group_default_process_mode: fields.word("resource_group_default_process_mode"),
        merge_method: fields.word("merge_method"),
        merge_pipelines_enabled: fields.boolean("merge_pipelines_enabled"),
        protect_merge_request_pipelines: fields.boolean("protect_merge_request_pipelines"),
        remove_source_branch_after_merge: fields.boolean("remove_source_branch_after_merge"),
    }
}

/// Reads a setting that null unsets.
#[expect(clippy::option_option, reason = "not given, unset and set are three things")]
fn given<'a, T>(
    fields: &mut Fields<'a>,
    key: &str,
    read: impl FnOnce(&mut Fields<'a>, &str) -> Option<T>,
) -> Option<Option<T>> {
    fields.given(key).then(|| read(fields, key))
}
