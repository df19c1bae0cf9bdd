//! REST API v4: one file per noun, each handler about ten lines.

pub mod artifacts;
pub mod branches;
pub mod commit_statuses;
pub mod commits;
pub mod deployments;
pub mod environments;
pub mod files;
pub mod forks;
pub mod groups;
pub mod hooks;
pub mod jobs;
pub mod members;
pub mod merge_requests;
pub mod metadata;
pub mod namespaces;
pub mod pipeline_schedules;
pub mod pipelines;
pub mod projects;
pub mod protected_branches;
pub mod protected_tags;
pub mod resource_groups;
pub mod tags;
pub mod tokens;
pub mod tree;
pub mod triggers;
pub mod users;

use axum::Router;

use crate::ctx::Ctx;

/// Routes below `/api/v4`.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .merge(artifacts::routes())
        .merge(branches::routes())
        .merge(commit_statuses::routes())
        .merge(commits::routes())
        .merge(deployments::routes())
        .merge(environments::routes())
        .merge(files::routes())
        .merge(forks::routes())
        .merge(groups::routes())
        .merge(hooks::routes())
        .merge(jobs::routes())
        .merge(members::routes())
        .merge(merge_requests::routes())
        .merge(metadata::routes())
        .merge(namespaces::routes())
        .merge(pipeline_schedules::routes())
        .merge(pipelines::routes())
        .merge(projects::routes())
        .merge(protected_branches::routes())
        .merge(protected_tags::routes())
        .merge(resource_groups::routes())
        .merge(tags::routes())
        .merge(tokens::routes())
        .merge(tree::routes())
        .merge(triggers::routes())
        .merge(users::routes())
}
