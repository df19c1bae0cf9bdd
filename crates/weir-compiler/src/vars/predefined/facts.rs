//! What must be known to make the predefined variables.

use weir_api::environments::EnvironmentAction;
use weir_api::id::{EnvironmentId, JobId, NamespaceId, PipelineId, ProjectId, RunnerId, UserId};
use weir_api::{PipelineSource, Secret, Timestamp, Visibility};

/// The server and its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// Where users reach it: `https://host[:port][/root]`.
    pub url: String,
    /// `CI_SERVER_NAME`.
    pub name: String,
    /// `CI_SERVER_VERSION`: three numbers, perhaps with a suffix behind `-`.
    pub version: String,
    /// `CI_SERVER_REVISION`.
    pub revision: String,
    /// The host for Git over SSH.
    pub ssh_host: String,
    /// The port for Git over SSH.
    pub ssh_port: u16,
    /// `GITLAB_FEATURES`: licensed features.
    pub features: Vec<String>,
    /// The container registry's host and port.
    pub registry: Option<String>,
    /// The domain under which pages are served.
    pub pages_domain: Option<String>,
    /// Whether the server proxies container images.
    pub dependency_proxy: bool,
    /// The registry that templates take images from.
    pub template_registry_host: String,
}

/// The project of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectFacts {
    /// Its id.
    pub id: ProjectId,
    /// Its full path: namespaces and its own (`group/sub/project`).
    pub path: String,
    /// Its name for people.
    pub title: String,
    /// Its description.
    pub description: Option<String>,
    /// Its topics.
    pub topics: Vec<String>,
    /// The id of its namespace.
    pub namespace_id: NamespaceId,
    /// Who sees it.
    pub visibility: Visibility,
    /// The languages of its repository.
    pub languages: Vec<String>,
    /// The label of an external authorisation service.
    pub classification_label: Option<String>,
    /// Its default branch, if its repository is not empty.
    pub default_branch: Option<String>,
    /// The path of its configuration.
    pub config_path: String,
    /// Whether its container registry is on.
    pub registry: bool,
}

/// What a pipeline runs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefKind {
    /// A branch.
    Branch,
    /// A tag.
    Tag,
    /// A merge request.
    MergeRequest,
}

/// The commit of the pipeline and its ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitFacts {
    /// The commit.
    pub sha: String,
    /// What the ref pointed to before the push; zeros for a new branch and for pipelines without a push.
    pub before_sha: String,
    /// Branch or tag without `refs/…/`; for a merge request its source branch.
    pub ref_name: String,
    /// What the ref is.
    pub ref_kind: RefKind,
    /// Whether the ref is protected.
    pub ref_protected: bool,
    /// The whole message.
    pub message: String,
    /// `Name <mail>`.
    pub author: String,
    /// The author's user name on this server.
    pub user_login: Option<String>,
    /// When it was committed, in ISO-8601 with the committer's offset.
    pub timestamp: String,
    /// The message of an annotated tag.
    pub tag_message: Option<String>,
}

/// The pipeline. What it gets only when it is saved may be missing before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineFacts {
    /// Its number in the project.
    pub iid: Option<i64>,
    /// Where it came from.
    pub source: PipelineSource,
    /// When it was saved.
    pub created_at: Option<Timestamp>,
    /// `workflow:name`, expanded.
    pub name: Option<String>,
    /// The description of its schedule.
    pub schedule_description: Option<String>,
    /// Its commit.
    pub commit: CommitFacts,
    /// Its merge request.
    pub merge_request: Option<MergeRequestFacts>,
    /// The bridge that started it.
    pub upstream: Option<UpstreamFacts>,
    /// Open merge requests of its branch as `group/project!iid`.
    pub open_merge_requests: Vec<String>,
    /// Whether the project can deploy to a cluster.
    pub kubernetes_active: bool,
    /// Whether deployments are frozen now.
    pub deploy_freeze: bool,
    /// Its pull request elsewhere.
    pub external_pull_request: Option<ExternalPullRequestFacts>,
}

/// A merge request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one variable")]
pub struct MergeRequestFacts {
    /// `detached`, `merged_result` or `merge_train`.
    pub event_type: String,
    /// Head of the source branch; empty unless results are merged.
    pub source_branch_sha: String,
    /// Head of the target branch; empty unless results are merged.
    pub target_branch_sha: String,
    /// The id of its newest diff and that diff's base.
    pub diff: Option<(i64, String)>,
    /// Its id.
    pub id: i64,
    /// Its number in the project.
    pub iid: i64,
    /// `refs/merge-requests/IID/head`, or `/merge` for merged results.
    pub ref_path: String,
    /// The target project.
    pub project_id: ProjectId,
    /// The target project's full path.
    pub project_path: String,
    /// The target project's page.
    pub project_url: String,
    /// The target branch.
    pub target_branch: String,
    /// Whether the target branch is protected.
    pub target_branch_protected: bool,
    /// Its title.
    pub title: String,
    /// Whether it is a draft.
    pub draft: bool,
    /// Its description.
    pub description: String,
    /// User names of its assignees.
    pub assignees: Vec<String>,
    /// The title of its milestone.
    pub milestone: Option<String>,
    /// Its labels.
    pub labels: Vec<String>,
    /// Whether its commits will be squashed.
    pub squash_on_merge: bool,
    /// Whether all approvals are given.
    pub approved: bool,
    /// The source project.
    pub source_project_id: ProjectId,
    /// The source project's full path.
    pub source_project_path: String,
    /// The source project's page.
    pub source_project_url: String,
    /// The source branch.
    pub source_branch: String,
    /// Whether the source branch is protected.
    pub source_branch_protected: bool,
}

/// The bridge that started a downstream pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpstreamFacts {
    /// Its pipeline.
    pub pipeline_id: PipelineId,
    /// Its project.
    pub project_id: ProjectId,
    /// The bridge.
    pub job_id: JobId,
}

/// A pull request on another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalPullRequestFacts {
    /// Its number.
    pub iid: i64,
    /// The repository it comes from.
    pub source_repository: String,
    /// The repository it is for.
    pub target_repository: String,
    /// The branch it comes from.
    pub source_branch: String,
    /// Head of the source branch.
    pub source_branch_sha: String,
    /// The branch it is for.
    pub target_branch: String,
    /// Head of the target branch.
    pub target_branch_sha: String,
}

/// A job before it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobFacts {
    /// Its full name.
    pub name: String,
    /// The name of its stage.
    pub stage: String,
    /// Whether it is `when: manual` or `when: delayed`.
    pub manual: bool,
    /// The first four characters of the trigger token behind its prefix, if one started the pipeline.
    pub trigger_short_token: Option<String>,
    /// Its place in `parallel`, from 1.
    pub node_index: Option<u32>,
    /// How many jobs `parallel` made.
    pub node_total: Option<u32>,
    /// What it deploys to.
    pub environment: Option<EnvironmentFacts>,
}

/// The environment of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnvironmentFacts {
    /// Its name, expanded.
    pub name: String,
    /// `environment:action`.
    pub action: EnvironmentAction,
    /// `environment:deployment_tier`, or that of the stored environment.
    pub tier: Option<String>,
    /// `environment:url` as written, or that of the stored environment.
    pub url: Option<String>,
    /// The slug of the stored environment.
    pub slug: Option<String>,
    /// The id of the stored environment.
    pub id: Option<EnvironmentId>,
}

/// Who runs the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFacts {
    /// The id.
    pub id: UserId,
    /// The mail address.
    pub email: String,
    /// The user name.
    pub login: String,
    /// The name for people.
    pub name: String,
}

/// The release of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseFacts {
    /// Its description.
    pub description: String,
    /// Its name.
    pub name: String,
}

/// A job that a runner has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedJobFacts {
    /// Its id.
    pub id: JobId,
    /// Its page.
    pub url: String,
    /// Its token.
    pub token: Secret,
    /// When it was taken.
    pub started_at: Option<Timestamp>,
    /// Its pipeline.
    pub pipeline_id: PipelineId,
    /// The pipeline's page.
    pub pipeline_url: String,
    /// Where to clone by HTTP, without user and password.
    pub repository_url: String,
    /// User name and password of the deploy token `gitlab-deploy-token`.
    pub deploy_token: Option<(String, Secret)>,
}

/// A runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerFacts {
    /// Its id.
    pub id: RunnerId,
    /// Its description.
    pub description: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
}

/// Where the pages of a project are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagesFacts {
    /// `CI_PAGES_HOSTNAME`.
    pub hostname: String,
    /// `CI_PAGES_URL`, with the path prefix of the job's deployment.
    pub url: String,
}
