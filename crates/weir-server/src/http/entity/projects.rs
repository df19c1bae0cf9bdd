//! Projects.

use serde_json::{Value, json};
use weir_api::projects::{
    BasicProjectDetails, Project, ProjectAccess, ProjectCiSettings, ProjectDetails, ProjectFeatures,
    ProjectIdentity, ProjectLinks, ProjectPermissions,
};
use weir_api::{AccessLevel, Extra, FeatureAccess, Word};

use super::{namespaces, users};
use crate::app::projects::View;
use crate::ctx::Ctx;

/// Notifications follow the user's own settings: GitLab's level `global`.
const NOTIFICATION_LEVEL: i64 = 3;

/// Roles that may give variables to a pipeline, by their words; none is nobody.
pub const OVERRIDE_ROLES: &[(&str, Option<AccessLevel>)] = &[
    ("developer", Some(AccessLevel::Developer)),
    ("maintainer", Some(AccessLevel::Maintainer)),
    ("owner", Some(AccessLevel::Owner)),
    ("no_one_allowed", None),
];

/// What everyone who sees the project may know: all that `simple` lists have, and all for whoever is nobody.
pub fn basic(ctx: &Ctx, view: &View) -> BasicProjectDetails {
    BasicProjectDetails { identity: identity(view), details: details(ctx, view) }
}

/// A project as whoever is signed in sees it.
pub fn full(ctx: &Ctx, view: &View) -> Project {
    let project = &view.project;
    let manages = view.level >= AccessLevel::Maintainer;
    Project {
        identity: identity(view),
        details: details(ctx, view),
        links: Some(links(ctx, view)),
        empty_repo: project.default_branch.is_none(),
        archived: project.archived,
        owner: view.owner.as_ref().map(|owner| users::basic(ctx, owner)),
        features: features(view),
        creator_id: project.creator_id,
        import_status: if project.forked_from_id.is_some() { "finished" } else { "none" }.to_owned(),
        forked_from_project: view.forked_from.as_deref().map(|parent| basic(ctx, parent)),
        open_issues_count: 0,
        updated_at: Some(project.updated_at),
        ci: settings(view),
        runners_token: None,
        shared_with_groups: Vec::new(),
        only_allow_merge_if_pipeline_succeeds: project.settings.only_allow_merge_if_pipeline_succeeds,
        allow_merge_on_skipped_pipeline: project.settings.allow_merge_on_skipped_pipeline,
        remove_source_branch_after_merge: project.settings.remove_source_branch_after_merge,
        permissions: Some(ProjectPermissions {
            project_access: view.direct.map(access),
            group_access: view.group.map(access),
        }),
        extra: extra(view, manages),
    }
}

fn identity(view: &View) -> ProjectIdentity {
    let project = &view.project;
    ProjectIdentity {
        id: project.id,
        description: project.description.clone(),
        name: project.name.clone(),
        name_with_namespace: format!("{} / {}", view.namespace.full_name, project.name),
        path: project.path.clone(),
        path_with_namespace: project.full_path.clone(),
        created_at: Some(project.created_at),
    }
}

fn details(ctx: &Ctx, view: &View) -> ProjectDetails {
    let project = &view.project;
    let web_url = ctx.url(&format!("/{}", project.full_path));
    let host = ctx.external_url.host_str().unwrap_or("localhost");
    ProjectDetails {
        default_branch: project.default_branch.clone(),
        tag_list: Vec::new(),
        topics: Vec::new(),
        ssh_url_to_repo: format!("git@{host}:{}.git", project.full_path),
        http_url_to_repo: format!("{web_url}.git"),
        web_url,
        readme_url: None,
        forks_count: view.forks,
        avatar_url: None,
        star_count: 0,
        last_activity_at: Some(project.last_activity_at),
        visibility: Some(project.visibility),
        namespace: Some(namespaces::basic(ctx, &view.namespace)),
        repository_storage: view.admin.then(|| "default".to_owned()),
    }
}

fn links(ctx: &Ctx, view: &View) -> ProjectLinks {
    let url = |rest: &str| ctx.url(&format!("/api/v4/projects/{}{rest}", view.project.id));
    let mut others = Extra::default();
    others.insert("labels".to_owned(), url("/labels").into());
    others.insert("events".to_owned(), url("/events").into());
    others.insert("cluster_agents".to_owned(), url("/cluster_agents").into());
    ProjectLinks {
        itself: url(""),
        repo_branches: url("/repository/branches"),
        members: url("/members"),
        others,
    }
}

fn features(view: &View) -> ProjectFeatures {
    let level = view.project.builds_access_level;
    let may = match level {
        FeatureAccess::Disabled => false,
        FeatureAccess::Private => view.level >= AccessLevel::Guest,
        FeatureAccess::Enabled => true,
    };
    ProjectFeatures {
        jobs_enabled: may,
        builds_access_level: Word::Known(level),
        environments_access_level: Word::Known(view.project.settings.environments_access_level),
        ..ProjectFeatures::default()
    }
}

fn settings(view: &View) -> ProjectCiSettings {
    let project = &view.project;
    let settings = &project.settings;
    let role = settings.ci_pipeline_variables_minimum_override_role;
    let role = OVERRIDE_ROLES.iter().find(|(_, level)| *level == role).map_or("developer", |(word, _)| word);
    let seconds = |secs: u64| i64::try_from(secs).unwrap_or(i64::MAX);
    ProjectCiSettings {
        ci_default_git_depth: settings.ci_default_git_depth.map(i64::from),
        ci_delete_pipelines_in_seconds: settings.ci_delete_pipelines_in_seconds.map(seconds),
        ci_forward_deployment_enabled: settings.ci_forward_deployment_enabled,
        ci_forward_deployment_rollback_allowed: settings.ci_forward_deployment_rollback_allowed,
        ci_job_token_scope_enabled: settings.ci_job_token_scope_enabled,
        ci_separated_caches: settings.ci_separated_caches,
        ci_allow_fork_pipelines_to_run_in_parent_project: settings
            .ci_allow_fork_pipelines_to_run_in_parent_project,
        ci_id_token_sub_claim_components: settings.ci_id_token_sub_claim_components.clone(),
        build_git_strategy: Word::Known(settings.build_git_strategy),
        keep_latest_artifact: settings.keep_latest_artifact,
        restrict_user_defined_variables: settings.restrict_user_defined_variables,
        ci_pipeline_variables_minimum_override_role: role.to_owned(),
        ci_push_repository_for_job_token_allowed: settings.ci_push_repository_for_job_token_allowed,
        ci_restrict_pipeline_cancellation_role: settings.ci_restrict_pipeline_cancellation_role.clone(),
        runner_token_expiration_interval: settings.runner_token_expiration_interval.map(seconds),
        group_runners_enabled: project.group_runners_enabled,
        shared_runners_enabled: project.shared_runners_enabled,
        public_jobs: project.public_jobs,
        build_timeout: seconds(settings.build_timeout),
        auto_cancel_pending_pipelines: on_or_off(settings.auto_cancel_pending_pipelines).to_owned(),
        auto_devops_enabled: false,
        ci_config_path: settings.ci_config_path.clone(),
        resource_group_default_process_mode: Word::Known(settings.resource_group_default_process_mode),
    }
}

fn on_or_off(on: bool) -> &'static str {
    if on { "enabled" } else { "disabled" }
}

fn access(level: AccessLevel) -> ProjectAccess {
    ProjectAccess { access_level: level, notification_level: Some(NOTIFICATION_LEVEL) }
}

/// What needs no field of its own, most of it the same for every project here. Maintainers learn that there is no registration token for runners.
fn extra(view: &View, manages: bool) -> Extra {
    let settings = &view.project.settings;
    let mut constants = json!({
        "packages_enabled": false,
        "service_desk_enabled": false,
        "can_create_merge_request_in": !view.project.archived,
        "lfs_enabled": false,
        "request_access_enabled": false,
        "only_allow_merge_if_all_discussions_are_resolved": false,
        "merge_method": settings.merge_method,
        "merge_pipelines_enabled": settings.merge_pipelines_enabled,
        "merge_trains_enabled": false,
        "protect_merge_request_pipelines": settings.protect_merge_request_pipelines,
        "squash_option": "default_off",
        "emails_enabled": true,
        "autoclose_referenced_issues": true,
        "import_type": null,
        "marked_for_deletion_at": null,
    });
    if manages {
        constants["runners_token"] = Value::Null;
    }
    match constants {
        Value::Object(map) => map,
        _ => Extra::default(),
    }
}
