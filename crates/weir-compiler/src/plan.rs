//! What the compiler produces: the jobs of one pipeline, decided and typed.
//!
//! A [`Plan`] holds no job that rules excluded, every `parallel` is expanded, every default applied and
//! every keyword checked. Texts that GitLab leaves to the runner (`$VAR` in image, paths, scripts) stand
//! as written. The plan is stored as JSON beside its jobs, so its types can be serialised.

use serde::{Deserialize, Serialize};
use weir_api::FailureReason;
use weir_api::environments::EnvironmentAction;

/// The jobs of one pipeline in the order of the file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// `workflow:name`, expanded.
    pub name: Option<String>,
    /// Names of the stages that have jobs, in order; `.pre` and `.post` included where used.
    pub stages: Vec<String>,
    /// The jobs; [`Job::stage`] points into `stages`.
    pub jobs: Vec<Job>,
    /// `workflow:auto_cancel`.
    pub auto_cancel: AutoCancel,
}

/// `workflow:auto_cancel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AutoCancel {
    /// `on_new_commit`; none means the default, conservative.
    pub on_new_commit: Option<OnNewCommit>,
    /// `on_job_failure: all`.
    pub on_job_failure_all: bool,
}

/// `workflow:auto_cancel:on_new_commit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNewCommit {
    /// Cancel all, unless a job that is not interruptible has started.
    Conservative,
    /// Cancel the interruptible jobs.
    Interruptible,
    /// Cancel nothing.
    None,
}

/// One job or bridge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The full name, with the suffix of `parallel` (`rspec 1/3`, `deploy: [aws, eu]`).
    pub name: String,
    /// Index into [`Plan::stages`].
    pub stage: usize,
    /// What it does when it runs.
    pub action: Action,
    /// `when`, the matching rule's before the job's.
    pub when: When,
    /// `start_in` in seconds, for `when: delayed`.
    pub start_in: Option<u64>,
    /// `allow_failure`.
    pub allow_failure: AllowFailure,
    /// How earlier jobs decide over this one.
    pub scheduling: Scheduling,
    /// Whose artifacts to fetch.
    pub dependencies: Dependencies,
    /// The job's YAML variables: global and job ones merged, matrix and `rules:variables` on top.
    pub variables: Vec<Variable>,
    /// `tags`, expanded and sorted, each once.
    pub tags: Vec<String>,
    /// `retry`.
    pub retry: Option<Retry>,
    /// `timeout` in seconds.
    pub timeout: Option<u64>,
    /// `interruptible`.
    pub interruptible: bool,
    /// `resource_group`, expanded.
    pub resource_group: Option<String>,
    /// `environment`.
    pub environment: Option<Environment>,
    /// Place in a `parallel` group.
    pub parallel: Option<Parallel>,
    /// `manual_confirmation`.
    pub manual_confirmation: Option<String>,
    /// `coverage`: the pattern between the slashes.
    pub coverage: Option<String>,
}

/// What a job does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Runs a script on a runner.
    Run(Box<Run>),
    /// Starts another pipeline.
    Trigger(Box<Trigger>),
}

/// The parts of a job that its runner needs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Run {
    /// `before_script`, one entry a command; nested lists are flat.
    pub before_script: Vec<String>,
    /// `script`.
    pub script: Vec<String>,
    /// `after_script`.
    pub after_script: Vec<String>,
    /// `hooks:pre_get_sources_script`.
    pub pre_get_sources_script: Vec<String>,
    /// `image`.
    pub image: Option<Image>,
    /// `services`.
    pub services: Vec<Image>,
    /// `artifacts`.
    pub artifacts: Option<Artifacts>,
    /// `cache`.
    pub cache: Vec<Cache>,
    /// The `needs` whose jobs are in other pipelines: their artifacts are fetched, nothing waits for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cross_needs: Vec<CrossNeed>,
}

/// A job of another pipeline whose artifacts are needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrossNeed {
    /// The job's name, unexpanded.
    pub job: String,
    /// Where it is.
    pub source: CrossSource,
    /// Whether the artifacts are fetched.
    pub artifacts: bool,
    /// Whether the job may be missing.
    pub optional: bool,
}

/// Where a job of another pipeline is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CrossSource {
    /// In a pipeline of the same family, by its id, unexpanded.
    Pipeline(String),
    /// In the newest successful pipeline of a ref of a project, both unexpanded.
    Project {
        /// The project's full path.
        project: String,
        /// The branch or tag.
        git_ref: String,
    },
}

/// `image`, or one of `services`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Image {
    /// `name`, unexpanded.
    pub name: String,
    /// `alias` (services).
    pub alias: Option<String>,
    /// `entrypoint`.
    pub entrypoint: Option<Vec<String>>,
    /// `command` (services).
    pub command: Option<Vec<String>>,
    /// `variables` (services).
    pub variables: Vec<Variable>,
    /// `pull_policy`.
    pub pull_policy: Vec<String>,
    /// `docker` and `kubernetes` options as they stand, in JSON.
    pub executor_opts: serde_json::Map<String, serde_json::Value>,
}

/// `artifacts`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Artifacts {
    /// `name`.
    pub name: Option<String>,
    /// `untracked`.
    pub untracked: bool,
    /// `paths`.
    pub paths: Vec<String>,
    /// `exclude`.
    pub exclude: Vec<String>,
    /// `when`.
    pub when: ArtifactsWhen,
    /// `expire_in` as written (`1 week`, `never`).
    pub expire_in: Option<String>,
    /// `reports`: type (`junit`, `dotenv`, …) and paths.
    pub reports: Vec<(String, Vec<String>)>,
    /// `access`, or `public: false` as [`ArtifactAccess::Developer`].
    pub access: ArtifactAccess,
    /// `expose_as`.
    pub expose_as: Option<String>,
}

/// When artifacts are uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactsWhen {
    /// The job succeeded.
    #[default]
    OnSuccess,
    /// The job failed.
    OnFailure,
    /// Whatever happened.
    Always,
}

/// Who may fetch artifacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactAccess {
    /// Whoever sees the job.
    #[default]
    All,
    /// Developers and up.
    Developer,
    /// Maintainers and up.
    Maintainer,
    /// Nobody but later jobs.
    None,
}

/// One entry of `cache`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// `key`, with the digest of `key:files` filled in; variables unexpanded.
    pub key: String,
    /// `paths`.
    pub paths: Vec<String>,
    /// `untracked`.
    pub untracked: bool,
    /// `policy` as written: it may be a variable.
    pub policy: String,
    /// `when`.
    pub when: ArtifactsWhen,
    /// `unprotect`.
    pub unprotect: bool,
    /// `fallback_keys`.
    pub fallback_keys: Vec<String>,
}

/// `trigger`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Trigger {
    /// `project`; none means a child pipeline.
    pub project: Option<String>,
    /// `branch`.
    pub branch: Option<String>,
    /// `strategy: depend` or `mirror`.
    pub strategy: Option<Strategy>,
    /// `include` as JSON, one entry a file.
    pub include: Vec<serde_json::Value>,
    /// `inputs` as JSON.
    pub inputs: Vec<(String, serde_json::Value)>,
    /// `forward:yaml_variables`.
    pub forward_yaml_variables: bool,
    /// `forward:pipeline_variables`.
    pub forward_pipeline_variables: bool,
}

/// `trigger:strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The bridge waits for the downstream pipeline.
    Depend,
    /// The bridge always shows the downstream status.
    Mirror,
}

/// `when`; `never` leaves no job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Nothing before it failed.
    #[default]
    OnSuccess,
    /// Something before it failed.
    OnFailure,
    /// Whatever happened before it.
    Always,
    /// Someone plays it.
    Manual,
    /// Some time after it could start.
    Delayed,
}

/// `allow_failure`, with the defaults of manual jobs applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllowFailure {
    /// A failure is a failure.
    No,
    /// A failure is a warning.
    Yes,
    /// A failure with one of these exit codes is a warning.
    ExitCodes(Vec<i32>),
}

/// What a job waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheduling {
    /// All jobs of earlier stages.
    Stage,
    /// The jobs of this pipeline that `needs` lists, by full name; optional ones that do not exist are left
    /// out.
    Needs(Vec<Need>),
}

/// One job that is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The full name of a job of this plan.
    pub job: String,
    /// Whether its artifacts are fetched.
    pub artifacts: bool,
    /// `optional`.
    pub optional: bool,
}

/// Whose artifacts a job fetches, before `needs` narrows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dependencies {
    /// Of all jobs of earlier stages, or of all needs with `artifacts: true`.
    Default,
    /// Of these jobs only, by full name; an empty list fetches none.
    Only(Vec<String>),
}

/// A variable written in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// The name.
    pub key: String,
    /// The text, unexpanded.
    pub value: String,
    /// `expand: false`: references in the value stay as they are.
    pub raw: bool,
}

/// `retry`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// At most so many retries: 0, 1 or 2.
    pub max: u8,
    /// `when`.
    pub when: Vec<RetryWhen>,
    /// `exit_codes`.
    pub exit_codes: Vec<i32>,
}

/// One entry of `retry:when`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryWhen {
    /// On every failure.
    Always,
    /// On this reason, or on one that it is an alias of.
    Reason(FailureReason),
}

/// `environment`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// `name`, expanded.
    pub name: String,
    /// `url`, unexpanded: the job itself may define its parts.
    pub url: Option<String>,
    /// `action`.
    #[serde(default)]
    pub action: EnvironmentAction,
    /// `on_stop`.
    pub on_stop: Option<String>,
    /// `auto_stop_in`.
    pub auto_stop_in: Option<String>,
    /// `deployment_tier`; it may come of a variable, and then be none of the tiers.
    pub deployment_tier: Option<String>,
    /// `kubernetes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Kubernetes>,
}

/// `environment:kubernetes`, unexpanded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kubernetes {
    /// `agent`: `path/to/project:name`.
    pub agent: Option<String>,
    /// `dashboard:namespace`, formerly `namespace`.
    pub namespace: Option<String>,
    /// `dashboard:flux_resource_path`, formerly `flux_resource_path`.
    pub flux_resource_path: Option<String>,
    /// `managed_resources:enabled`.
    pub managed_resources: Option<bool>,
}

/// Place of a job in a `parallel` group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parallel {
    /// The name without the suffix.
    pub group: String,
    /// `CI_NODE_INDEX`, from 1.
    pub index: u32,
    /// `CI_NODE_TOTAL`.
    pub total: u32,
}
