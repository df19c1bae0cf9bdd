//! Projects. Source: `lib/api/entities/{project_identity,basic_project_details,project}.rb`.

use serde::{Deserialize, Serialize};

use crate::id::{ProjectId, UserId};
use crate::lenient::null_as_default;
use crate::namespaces::NamespaceBasic;
use crate::users::UserBasic;
use crate::{
    AccessLevel, Extra, FeatureAccess, GitStrategy, ProcessMode, Secret, Timestamp, Visibility, Word,
};

/// What names a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectIdentity {
    /// The project.
    pub id: ProjectId,
    /// A text for people.
    pub description: Option<String>,
    /// Its name.
    pub name: String,
    /// Its name after its namespaces' names, `Group / Project`.
    #[serde(default)]
    pub name_with_namespace: String,
    /// The last part of its path.
    pub path: String,
    /// Its whole path, `group/project`.
    pub path_with_namespace: String,
    /// When it was made.
    pub created_at: Option<Timestamp>,
}

/// A project as everyone who sees it may know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BasicProjectDetails {
    /// What names it.
    #[serde(flatten)]
    pub identity: ProjectIdentity,
    /// What else everyone may know.
    #[serde(flatten)]
    pub details: ProjectDetails,
}

/// What everyone who sees a project may know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectDetails {
    /// The default branch; null in an empty repository.
    pub default_branch: Option<String>,
    /// Deprecated name of `topics`.
    #[serde(default)]
    pub tag_list: Vec<String>,
    /// Topics.
    #[serde(default)]
    pub topics: Vec<String>,
    /// Where to clone from over SSH.
    #[serde(default, deserialize_with = "null_as_default")]
    pub ssh_url_to_repo: String,
    /// Where to clone from over HTTP.
    #[serde(default, deserialize_with = "null_as_default")]
    pub http_url_to_repo: String,
    /// Its page.
    #[serde(default)]
    pub web_url: String,
    /// Its README.
    pub readme_url: Option<String>,
    /// How many forks it has.
    #[serde(default)]
    pub forks_count: i64,
    /// Its picture.
    pub avatar_url: Option<String>,
    /// How many stars it has.
    #[serde(default)]
    pub star_count: i64,
    /// When something last happened.
    pub last_activity_at: Option<Timestamp>,
    /// Who sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
    /// Where it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceBasic>,
    /// The storage; for administrators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_storage: Option<String>,
}

/// A project as its members see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the wire has them")]
pub struct Project {
    /// What names it.
    #[serde(flatten)]
    pub identity: ProjectIdentity,
    /// What everyone may know.
    #[serde(flatten)]
    pub details: ProjectDetails,
    /// Addresses of its parts.
    #[serde(rename = "_links", default, skip_serializing_if = "Option::is_none")]
    pub links: Option<ProjectLinks>,
    /// Whether the repository has no commit.
    #[serde(default)]
    pub empty_repo: bool,
    /// Whether it is read-only.
    #[serde(default)]
    pub archived: bool,
    /// Its owner, for projects of users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<UserBasic>,
    /// Which parts of it are on.
    #[serde(flatten)]
    pub features: ProjectFeatures,
    /// Who made it.
    pub creator_id: Option<UserId>,
    /// `none`, `finished` …
    #[serde(default, deserialize_with = "null_as_default")]
    pub import_status: String,
    /// The project from which it was forked, if the caller sees that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from_project: Option<BasicProjectDetails>,
    /// How many issues are open.
    #[serde(default)]
    pub open_issues_count: i64,
    /// When it was last changed.
    pub updated_at: Option<Timestamp>,
    /// Settings of CI/CD.
    #[serde(flatten)]
    pub ci: ProjectCiSettings,
    /// The registration token for runners; Maintainers see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runners_token: Option<Secret>,
    /// Groups with which it is shared.
    #[serde(default)]
    pub shared_with_groups: Vec<serde_json::Value>,
    /// Whether a merge needs a green pipeline.
    #[serde(default, deserialize_with = "null_as_default")]
    pub only_allow_merge_if_pipeline_succeeds: bool,
    /// Whether a skipped pipeline is green enough.
    #[serde(default, deserialize_with = "null_as_default")]
    pub allow_merge_on_skipped_pipeline: bool,
    /// Whether a merge deletes the branch.
    #[serde(default, deserialize_with = "null_as_default")]
    pub remove_source_branch_after_merge: bool,
    /// What the caller may do here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<ProjectPermissions>,
    /// What this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Addresses of a project's parts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProjectLinks {
    /// The project.
    #[serde(rename = "self")]
    pub itself: String,
    /// Branches.
    pub repo_branches: String,
    /// Members.
    pub members: String,
    /// Other addresses.
    #[serde(flatten)]
    pub others: Extra,
}

/// Which parts of a project are on. The default is what a project without issues, wiki and packages has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "the wire has them")]
pub struct ProjectFeatures {
    /// Issues.
    pub issues_enabled: bool,
    /// Merge requests.
    pub merge_requests_enabled: bool,
    /// The wiki.
    pub wiki_enabled: bool,
    /// CI/CD.
    pub jobs_enabled: bool,
    /// Snippets.
    pub snippets_enabled: bool,
    /// The container registry.
    pub container_registry_enabled: bool,
    /// Who may use issues.
    pub issues_access_level: Word<FeatureAccess>,
    /// Who may use repository.
    pub repository_access_level: Word<FeatureAccess>,
    /// Who may use merge requests.
    pub merge_requests_access_level: Word<FeatureAccess>,
    /// Who may use forking.
    pub forking_access_level: Word<FeatureAccess>,
    /// Who may use wiki.
    pub wiki_access_level: Word<FeatureAccess>,
    /// Who may use builds.
    pub builds_access_level: Word<FeatureAccess>,
    /// Who may use snippets.
    pub snippets_access_level: Word<FeatureAccess>,
    /// Who may use pages.
    pub pages_access_level: Word<FeatureAccess>,
    /// Who may use environments.
    pub environments_access_level: Word<FeatureAccess>,
    /// Who may use container registry.
    pub container_registry_access_level: Word<FeatureAccess>,
    /// Who may use releases.
    pub releases_access_level: Word<FeatureAccess>,
}

impl Default for ProjectFeatures {
    fn default() -> Self {
        let on = || Word::Known(FeatureAccess::Enabled);
        let off = || Word::Known(FeatureAccess::Disabled);
        Self {
            issues_enabled: false,
            merge_requests_enabled: true,
            wiki_enabled: false,
            jobs_enabled: true,
            snippets_enabled: false,
            container_registry_enabled: false,
            issues_access_level: off(),
            repository_access_level: on(),
            merge_requests_access_level: on(),
            forking_access_level: on(),
            wiki_access_level: off(),
            builds_access_level: on(),
            snippets_access_level: off(),
            pages_access_level: off(),
            environments_access_level: on(),
            container_registry_access_level: off(),
            releases_access_level: off(),
        }
    }
}

/// A project's settings of CI/CD. The default is what GitLab gives a new project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "the wire has them")]
pub struct ProjectCiSettings {
    /// How many commits a job fetches.
    pub ci_default_git_depth: Option<i64>,
    /// After how many seconds pipelines are deleted.
    pub ci_delete_pipelines_in_seconds: Option<i64>,
    /// Whether an older deployment job may not run after a newer one.
    #[serde(deserialize_with = "null_as_default")]
    pub ci_forward_deployment_enabled: bool,
    /// Whether it may for a rollback.
    #[serde(deserialize_with = "null_as_default")]
    pub ci_forward_deployment_rollback_allowed: bool,
    /// Whether job tokens of this project reach only listed projects.
    #[serde(deserialize_with = "null_as_default")]
    pub ci_job_token_scope_enabled: bool,
    /// Whether protected and other refs have caches of their own.
    #[serde(deserialize_with = "null_as_default")]
    pub ci_separated_caches: bool,
    /// Whether pipelines of forks run here.
    #[serde(deserialize_with = "null_as_default")]
    pub ci_allow_fork_pipelines_to_run_in_parent_project: bool,
    /// What the subject of an ID token is made of.
    pub ci_id_token_sub_claim_components: Vec<String>,
    /// How a job gets its sources.
    #[serde(deserialize_with = "null_as_default")]
    pub build_git_strategy: Word<GitStrategy>,
    /// Whether artifacts of the latest pipeline are kept.
    #[serde(deserialize_with = "null_as_default")]
    pub keep_latest_artifact: bool,
    /// Whether only some roles may pass variables.
    #[serde(deserialize_with = "null_as_default")]
    pub restrict_user_defined_variables: bool,
    /// The lowest role that may: `developer`, `maintainer`, `owner`, `no_one_allowed`.
    #[serde(deserialize_with = "null_as_default")]
    pub ci_pipeline_variables_minimum_override_role: String,
    /// Whether job tokens may push.
    #[serde(deserialize_with = "null_as_default")]
    pub ci_push_repository_for_job_token_allowed: bool,
    /// The lowest role that may cancel pipelines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ci_restrict_pipeline_cancellation_role: Option<String>,
    /// How long a runner's token lives, in seconds.
    pub runner_token_expiration_interval: Option<i64>,
    /// Whether group runners may run jobs.
    #[serde(deserialize_with = "null_as_default")]
    pub group_runners_enabled: bool,
    /// Whether instance runners may run jobs.
    #[serde(deserialize_with = "null_as_default")]
    pub shared_runners_enabled: bool,
    /// Whether jobs and their artifacts are as visible as the project.
    #[serde(deserialize_with = "null_as_default")]
    pub public_jobs: bool,
    /// The longest time for a job, in seconds.
    #[serde(deserialize_with = "null_as_default")]
    pub build_timeout: i64,
    /// `enabled` or `disabled`.
    #[serde(deserialize_with = "null_as_default")]
    pub auto_cancel_pending_pipelines: String,
    /// Whether Auto `DevOps` is on.
    #[serde(deserialize_with = "null_as_default")]
    pub auto_devops_enabled: bool,
    /// Where the configuration is, if not in `.gitlab-ci.yml`.
    pub ci_config_path: Option<String>,
    /// The process mode of new resource groups.
    #[serde(deserialize_with = "null_as_default")]
    pub resource_group_default_process_mode: Word<ProcessMode>,
}

impl Default for ProjectCiSettings {
    fn default() -> Self {
        Self {
            ci_default_git_depth: Some(20),
            ci_delete_pipelines_in_seconds: None,
            ci_forward_deployment_enabled: true,
            ci_forward_deployment_rollback_allowed: true,
            ci_job_token_scope_enabled: false,
            ci_separated_caches: true,
            ci_allow_fork_pipelines_to_run_in_parent_project: true,
            ci_id_token_sub_claim_components: ["project_path", "ref_type", "ref"].map(str::to_owned).into(),
            build_git_strategy: Word::default(),
            keep_latest_artifact: true,
            restrict_user_defined_variables: false,
            ci_pipeline_variables_minimum_override_role: "developer".to_owned(),
            ci_push_repository_for_job_token_allowed: false,
            ci_restrict_pipeline_cancellation_role: None,
            runner_token_expiration_interval: None,
            group_runners_enabled: true,
            shared_runners_enabled: true,
            public_jobs: true,
            build_timeout: 3600,
            auto_cancel_pending_pipelines: "enabled".to_owned(),
            auto_devops_enabled: false,
            ci_config_path: None,
            resource_group_default_process_mode: Word::default(),
        }
    }
}

/// What the caller may do in a project.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProjectPermissions {
    /// As a member of the project.
    pub project_access: Option<ProjectAccess>,
    /// As a member of its group.
    pub group_access: Option<ProjectAccess>,
}

/// One membership of the caller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectAccess {
    /// The access level.
    pub access_level: AccessLevel,
    /// What the caller is told about.
    #[serde(default)]
    pub notification_level: Option<i64>,
}

crate::inherits!(BasicProjectDetails => identity: ProjectIdentity, Project => identity: ProjectIdentity);
