//! The job that a runner gets.

use serde::{Deserialize, Serialize};

use crate::id::{JobId, NamespaceId, PipelineId, ProjectId, UserId};
use crate::lenient::{null_as_default, text_or_number};
use crate::status::{
    ArtifactFileType, ArtifactFormat, CachePolicy, FailureReason, PullPolicy, When, vocabulary,
};
use crate::{Secret, Word};

/// The job that a runner gets: the body of a 201 from `POST /jobs/request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobPayload {
    /// The job.
    pub id: JobId,
    /// The job's token: for all calls about this job, and the password for Git.
    pub token: Secret,
    /// Whether an existing work tree may be used again.
    #[serde(default, deserialize_with = "null_as_default")]
    pub allow_git_fetch: bool,
    /// What the job is.
    pub job_info: JobInfo,
    /// What to check out.
    pub git_info: GitInfo,
    /// What concerns the runner.
    #[serde(default, deserialize_with = "null_as_default")]
    pub runner_info: RunnerInfo,
    /// Inputs of the job (19+).
    #[serde(default, deserialize_with = "null_as_default")]
    pub inputs: Vec<JobInput>,
    /// Variables, lowest precedence first: of two with one key the later wins.
    #[serde(default, deserialize_with = "null_as_default")]
    pub variables: Vec<JobVariable>,
    /// What to run, in order.
    #[serde(default, deserialize_with = "null_as_default")]
    pub steps: Vec<Step>,
    /// Scripts around the checkout.
    #[serde(default, deserialize_with = "null_as_default")]
    pub hooks: Vec<Hook>,
    /// The image, if the job names one.
    #[serde(default)]
    pub image: Option<Image>,
    /// Services beside the script.
    #[serde(default, deserialize_with = "null_as_default")]
    pub services: Vec<Service>,
    /// What to upload: the archive and one entry per report.
    #[serde(default, deserialize_with = "null_as_default")]
    pub artifacts: Vec<Artifact>,
    /// Caches.
    #[serde(default, deserialize_with = "null_as_default")]
    pub cache: Vec<Cache>,
    /// Credentials of registries.
    #[serde(default, deserialize_with = "null_as_default")]
    pub credentials: Vec<Credentials>,
    /// Jobs whose archives to download.
    #[serde(default, deserialize_with = "null_as_default")]
    pub dependencies: Vec<Dependency>,
    /// What the server can do.
    #[serde(default, deserialize_with = "null_as_default")]
    pub features: Features,
    /// Steps for the step runner, as JSON text; then `steps` is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// What a security policy asks of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_options: Option<PolicyOptions>,
    /// Secrets by name, for the runner to fetch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<serde_json::Map<String, serde_json::Value>>,
}

/// What the job is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobInfo {
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<JobId>,
    /// Its name.
    pub name: String,
    /// Its stage.
    pub stage: String,
    /// Its pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_id: Option<PipelineId>,
    /// Its project.
    pub project_id: ProjectId,
    /// The project's name.
    pub project_name: String,
    /// The project's path with its namespace.
    #[serde(default, deserialize_with = "null_as_default")]
    pub project_full_path: String,
    /// The project's namespace.
    #[serde(default)]
    pub namespace_id: Option<NamespaceId>,
    /// The outermost namespace.
    #[serde(default)]
    pub root_namespace_id: Option<NamespaceId>,
    /// The organization.
    #[serde(default)]
    pub organization_id: Option<i64>,
    /// The instance.
    #[serde(default, deserialize_with = "null_as_default")]
    pub instance_id: String,
    /// The instance's UUID.
    #[serde(default, deserialize_with = "null_as_default")]
    pub instance_uuid: String,
    /// The user for whom the job runs.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// The user within whose rights the job stays.
    #[serde(default)]
    pub scoped_user_id: Option<UserId>,
    /// How long the job waited, in seconds.
    #[serde(default)]
    pub time_in_queue_seconds: Option<f64>,
    /// How many jobs of the project instance runners run: a count or `+Inf`. A text, also for a count.
    #[serde(default, deserialize_with = "null_as_default")]
    pub project_jobs_running_on_instance_runners_count: String,
    /// How many jobs wait.
    #[serde(default)]
    pub queue_size: Option<i64>,
    /// How many jobs were looked at.
    #[serde(default)]
    pub queue_depth: Option<i64>,
}

vocabulary! {
    /// How a repository names its objects.
    #[derive(Default)]
    ObjectFormat, "object format" {
        /// 40 hexadecimal digits.
        #[default]
        Sha1 = "sha1",
        /// 64 hexadecimal digits.
        Sha256 = "sha256",
    }
}

vocabulary! {
    /// What kind of ref a job runs for. A merge request counts as a branch.
    #[derive(Default)]
    RefType, "kind of ref" {
        /// A branch.
        #[default]
        Branch = "branch",
        /// A tag.
        Tag = "tag",
    }
}

/// What to check out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitInfo {
    /// Where to fetch from, with credentials.
    pub repo_url: Secret,
    /// How objects are named.
    #[serde(default, deserialize_with = "null_as_default")]
    pub repo_object_format: Word<ObjectFormat>,
    /// The short name of the branch or tag.
    #[serde(rename = "ref")]
    pub ref_name: String,
    /// The commit.
    pub sha: String,
    /// The commit before, or zeros.
    pub before_sha: String,
    /// Branch or tag.
    #[serde(default, deserialize_with = "null_as_default")]
    pub ref_type: Word<RefType>,
    /// What to fetch; the runner fetches exactly this.
    #[serde(default, deserialize_with = "null_as_default")]
    pub refspecs: Vec<String>,
    /// How many commits to fetch; 0 for all.
    #[serde(default, deserialize_with = "null_as_default")]
    pub depth: i64,
    /// Whether the ref is protected.
    #[serde(default)]
    pub protected: Option<bool>,
}

/// What concerns the runner.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunnerInfo {
    /// The longest time for the job, in seconds.
    #[serde(default, deserialize_with = "null_as_default")]
    pub timeout: i64,
    /// Where the server thinks the interactive session is.
    #[serde(default)]
    pub runner_session_url: Option<String>,
    /// A name for this run on the runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
}

/// One input of the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobInput {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: JobInputValue,
}

/// The value of an input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobInputValue {
    /// `string`, `number`, `boolean` or `array`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The value itself, never null.
    pub content: serde_json::Value,
    /// Whether to mask it.
    #[serde(default)]
    pub sensitive: bool,
}

/// One variable. `Debug` shows its value only if it is public and unmasked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the wire has them")]
pub struct JobVariable {
    /// Its name.
    pub key: String,
    /// Its value, unexpanded.
    #[serde(default, deserialize_with = "null_as_default")]
    pub value: String,
    /// Whether anyone may see it.
    #[serde(default)]
    pub public: bool,
    /// Whether the script gets the path of a file with the value.
    #[serde(default)]
    pub file: bool,
    /// Whether to hide the value in the trace.
    #[serde(default)]
    pub masked: bool,
    /// Whether to leave `$` in the value alone.
    #[serde(default)]
    pub raw: bool,
}

impl std::fmt::Debug for JobVariable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = if self.public && !self.masked { &self.value } else { "[hidden]" };
        f.debug_struct("JobVariable").field("key", &self.key).field("value", &value).finish_non_exhaustive()
    }
}

/// One thing to run: `script`, `after_script`, `release`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Its commands; an entry may have several lines.
    #[serde(default, deserialize_with = "null_as_default")]
    pub script: Vec<String>,
    /// Its longest time in seconds.
    #[serde(default, deserialize_with = "null_as_default")]
    pub timeout: i64,
    /// When it runs.
    #[serde(default, deserialize_with = "null_as_default")]
    pub when: Word<When>,
    /// Whether its failure leaves the job's result alone.
    #[serde(default, deserialize_with = "null_as_default")]
    pub allow_failure: bool,
}

/// A script around the checkout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// `pre_get_sources_script` or `post_get_sources_script`.
    pub name: String,
    /// Its commands.
    #[serde(default, deserialize_with = "null_as_default")]
    pub script: Vec<String>,
}

/// The image of the job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Image {
    /// Its name; may contain variables.
    pub name: String,
    /// What to start instead of the image's own.
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    /// Ports for interactive use.
    #[serde(default, deserialize_with = "null_as_default")]
    pub ports: Vec<Port>,
    /// What single executors read.
    #[serde(default, deserialize_with = "null_as_default")]
    pub executor_opts: ExecutorOpts,
    /// Ways to pull it, the first that works.
    #[serde(default)]
    pub pull_policy: Option<Vec<Word<PullPolicy>>>,
}

/// A service beside the script.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Service {
    /// The image's name; may contain variables.
    pub name: String,
    /// What to start instead of the image's own.
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    /// Ports for interactive use.
    #[serde(default, deserialize_with = "null_as_default")]
    pub ports: Vec<Port>,
    /// What single executors read.
    #[serde(default, deserialize_with = "null_as_default")]
    pub executor_opts: ExecutorOpts,
    /// Ways to pull it, the first that works.
    #[serde(default)]
    pub pull_policy: Option<Vec<Word<PullPolicy>>>,
    /// Names under which the script reaches it, separated by commas or spaces.
    #[serde(default)]
    pub alias: Option<String>,
    /// Arguments of the entry point.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// Its own variables.
    #[serde(default)]
    pub variables: Option<Vec<ServiceVariable>>,
}

/// A variable of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceVariable {
    /// Its name.
    pub key: String,
    /// Its value.
    #[serde(default, deserialize_with = "null_as_default")]
    pub value: String,
}

/// A port of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its number.
    pub number: i64,
    /// `http` or `https`.
    pub protocol: String,
    /// Its name.
    pub name: String,
}

/// What single executors read of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecutorOpts {
    /// For Docker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker: Option<DockerOpts>,
    /// For Kubernetes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesOpts>,
}

/// `image:docker`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DockerOpts {
    /// The platform to pull, `linux/amd64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The user to run as, a name or a number.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text_or_number")]
    pub user: Option<String>,
}

/// `image:kubernetes`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KubernetesOpts {
    /// The user to run as, a name or a number.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text_or_number")]
    pub user: Option<String>,
}

/// One file to upload.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Artifact {
    /// The file's name; may contain variables.
    pub name: Option<String>,
    /// Whether untracked files belong to it.
    pub untracked: Option<bool>,
    /// Patterns of what belongs to it; may contain variables.
    #[serde(deserialize_with = "null_as_default")]
    pub paths: Vec<String>,
    /// Patterns of what does not.
    #[serde(deserialize_with = "null_as_default")]
    pub exclude: Vec<String>,
    /// When to upload.
    #[serde(deserialize_with = "null_as_default")]
    pub when: Word<When>,
    /// How long to keep it, as people say it.
    pub expire_in: Option<String>,
    /// What the file is.
    #[serde(deserialize_with = "null_as_default")]
    pub artifact_type: Word<ArtifactFileType>,
    /// How to pack it.
    #[serde(deserialize_with = "null_as_default")]
    pub artifact_format: Word<ArtifactFormat>,
}

/// One cache.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cache {
    /// Its key; may contain variables.
    #[serde(deserialize_with = "null_as_default")]
    pub key: String,
    /// Whether untracked files belong to it.
    pub untracked: Option<bool>,
    /// Patterns of what belongs to it; may contain variables.
    #[serde(deserialize_with = "null_as_default")]
    pub paths: Vec<String>,
    /// Fetch, save or both; may be a variable, then not a known word.
    #[serde(deserialize_with = "null_as_default")]
    pub policy: Word<CachePolicy>,
    /// When to save.
    #[serde(deserialize_with = "null_as_default")]
    pub when: Word<When>,
    /// Keys to try if there is no cache of `key`.
    #[serde(deserialize_with = "null_as_default")]
    pub fallback_keys: Vec<String>,
}

/// Credentials of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// `registry`; others are ignored by runners.
    #[serde(rename = "type")]
    pub kind: String,
    /// The registry's host.
    pub url: String,
    /// The user.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// A job whose archive to download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The job.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// The token to download with: the one of the job that downloads.
    pub token: Secret,
    /// The archive; jobs without one are not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts_file: Option<DependencyFile>,
}

/// The archive of a dependency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependencyFile {
    /// Its name.
    pub filename: String,
    /// Its size in bytes.
    #[serde(default)]
    pub size: i64,
}

/// What the server can do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Features {
    /// Whether it reads section marks in the trace.
    #[serde(deserialize_with = "null_as_default")]
    pub trace_sections: bool,
    /// What its tokens begin with, for the runner to mask.
    #[serde(deserialize_with = "null_as_default")]
    pub token_mask_prefixes: Vec<String>,
    /// The failure reasons that it knows.
    #[serde(deserialize_with = "null_as_default")]
    pub failure_reasons: Vec<Word<FailureReason>>,
}

/// What a security policy asks of the job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyOptions {
    /// Whether a policy put the job into the pipeline.
    pub execution_policy_job: bool,
    /// The policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_name: Option<String>,
    /// Whether users may replace the policy's variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_variables_override_allowed: Option<bool>,
    /// Variables for which the opposite holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_variables_override_exceptions: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn payload() -> serde_json::Value {
        json!({
            "id": 71, "token": "glcbt-1", "allow_git_fetch": true,
            "job_info": {
                "id": 71, "name": "unit", "stage": "test", "pipeline_id": 9, "project_id": 2, "project_name": "p",
                "project_full_path": "g/p", "namespace_id": 3, "root_namespace_id": 3, "organization_id": 1,
                "instance_id": "i", "instance_uuid": "u", "user_id": 1, "scoped_user_id": null,
                "time_in_queue_seconds": 1.5, "project_jobs_running_on_instance_runners_count": "+Inf",
                "queue_size": 1, "queue_depth": 1
            },
            "git_info": {
                "repo_url": "https://gitlab-ci-token:glcbt-1@ci.example/g/p.git", "repo_object_format": "sha1",
                "ref": "main", "sha": "3fa8", "before_sha": "0000", "ref_type": "branch",
                "refspecs": ["+refs/heads/main:refs/remotes/origin/main"], "depth": 20, "protected": null
            },
            "runner_info": {"timeout": 3600, "runner_session_url": null},
            "inputs": [{"key": "level", "value": {"type": "number", "content": 3, "sensitive": false}}],
            "variables": [
                {"key": "CI", "value": "true", "public": true, "file": false, "masked": false, "raw": false},
                {"key": "PASSWORD", "value": "hunter2", "public": false, "file": false, "masked": true, "raw": true}
            ],
            "steps": [
                {"name": "script", "script": ["make"], "timeout": 3600, "when": "on_success", "allow_failure": false}
            ],
            "hooks": [{"name": "pre_get_sources_script", "script": ["env"]}],
            "image": {
                "name": "rust", "entrypoint": null, "ports": [],
                "executor_opts": {"docker": {"platform": "linux/amd64", "user": "1000"}},
                "pull_policy": ["if-not-present"]
            },
            "services": [{
                "name": "postgres", "entrypoint": null, "ports": [], "executor_opts": {}, "pull_policy": null,
                "alias": "db", "command": ["-c", "fsync=off"], "variables": [{"key": "A", "value": "b"}]
            }],
            "artifacts": [{
                "name": null, "untracked": null, "paths": ["out/"], "exclude": [], "when": "always",
                "expire_in": "1 week", "artifact_type": "archive", "artifact_format": "zip"
            }],
            "cache": [{
                "key": "k", "untracked": null, "paths": ["target/"], "policy": "pull-push", "when": "on_success",
                "fallback_keys": []
            }],
            "credentials": [{"type": "registry", "url": "r.example", "username": "u", "password": "p"}],
            "dependencies": [
                {"id": 70, "name": "build", "token": "glcbt-1", "artifacts_file": {"filename": "artifacts.zip", "size": 12}}
            ],
            "features": {
                "trace_sections": true, "token_mask_prefixes": ["glpat-"], "failure_reasons": ["script_failure"]
            }
        })
    }

    #[test]
    fn a_payload_is_written_exactly_as_gitlab_writes_it() {
        let read: JobPayload = serde_json::from_value(payload()).unwrap();
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(written.parse::<serde_json::Value>().unwrap(), payload());
    }

    #[test]
    fn nulls_and_missing_members_read_as_empty() {
        let read: JobPayload = serde_json::from_value(json!({
            "id": 1, "token": "t", "services": null, "image": null, "features": null, "future_member": {},
            "job_info": {"name": "n", "stage": "s", "project_id": 1, "project_name": "p"},
            "git_info": {"repo_url": "u", "ref": "r", "sha": "s", "before_sha": "0", "refspecs": null},
            "artifacts": [{"paths": null, "when": null, "artifact_type": "hologram"}],
        }))
        .unwrap();
        assert!(read.services.is_empty() && read.git_info.refspecs.is_empty());
        assert_eq!(read.artifacts[0].when, When::OnSuccess);
        assert_eq!(read.artifacts[0].artifact_type, Word::Other("hologram".to_owned()));
    }

    #[test]
    fn a_user_of_an_image_may_be_a_number() {
        let read: DockerOpts = serde_json::from_value(json!({"user": 1000})).unwrap();
        assert_eq!(read.user.as_deref(), Some("1000"));
    }

    #[test]
    fn debug_shows_neither_tokens_nor_hidden_variables() {
        let read: JobPayload = serde_json::from_value(payload()).unwrap();
        let shown = format!("{read:?}");
        assert!(!shown.contains("glcbt-1") && !shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("\"true\""));
    }
}
