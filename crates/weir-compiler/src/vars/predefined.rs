//! The variables that GitLab defines itself, made from plain facts.
//!
//! Order and flags are those of GitLab's `Project#predefined_variables`, `lib/gitlab/ci/variables/builder.rb`
//! and `builder/pipeline.rb`, and `Ci::Build#persisted_variables`. A fact that is missing leaves its variable
//! out or null, as there.

mod facts;

pub use facts::{
    CommitFacts, EnvironmentFacts, ExternalPullRequestFacts, JobFacts, MergeRequestFacts, PagesFacts,
    PipelineFacts, ProjectFacts, RefKind, ReleaseFacts, RunnerFacts, ServerFacts, StartedJobFacts,
    UpstreamFacts, UserFacts,
};

use super::Variable;
use crate::limits;
use std::sync::LazyLock;
use weir_api::Timestamp;

/// The user name that goes with a job's token.
const JOB_USER: &str = "gitlab-ci-token";

/// What every place of the file sees, `include` too; for [`Level::Predefined`](super::Level::Predefined).
pub fn pre_pipeline(server: &ServerFacts, project: &ProjectFacts, pipeline: &PipelineFacts) -> Vec<Variable> {
    let address = Address::of(&server.url);
    let mut list = List::default();
    server_variables(&mut list, server, &address);
    project_variables(&mut list, server, project, &address);
    pipeline_variables(&mut list, pipeline, project, &address);
    commit_variables(&mut list, &pipeline.commit);
    if let Some(merge_request) = &pipeline.merge_request {
        merge_request_variables(&mut list, merge_request);
    }
    if let Some(upstream) = &pipeline.upstream {
        list.add("CI_UPSTREAM_PIPELINE_ID", upstream.pipeline_id.to_string());
        list.add("CI_UPSTREAM_PROJECT_ID", upstream.project_id.to_string());
        list.add("CI_UPSTREAM_JOB_ID", upstream.job_id.to_string());
    }
    if !pipeline.open_merge_requests.is_empty() {
        let count = pipeline.open_merge_requests.len().min(limits::OPEN_MERGE_REQUESTS);
        list.add("CI_OPEN_MERGE_REQUESTS", pipeline.open_merge_requests[..count].join(","));
    }
    list.add_if(pipeline.kubernetes_active, "CI_KUBERNETES_ACTIVE", "true");
    list.add_if(pipeline.deploy_freeze, "CI_DEPLOY_FREEZE", "true");
    if let Some(pull_request) = &pipeline.external_pull_request {
        external_pull_request_variables(&mut list, pull_request);
    }
    list.0
}

/// What the rules of a job see besides; for [`Level::Job`](super::Level::Job).
pub fn job(job: &JobFacts) -> Vec<Variable> {
    let mut list = List::default();
    list.add("CI_JOB_NAME", &job.name);
    list.add("CI_JOB_NAME_SLUG", slugify(&job.name));
    list.add("CI_JOB_GROUP_NAME", group_name(&job.name));
    list.add("CI_JOB_STAGE", &job.stage);
    list.add_if(job.manual, "CI_JOB_MANUAL", "true");
    if let Some(token) = &job.trigger_short_token {
        list.add("CI_PIPELINE_TRIGGERED", "true");
        list.add("CI_TRIGGER_SHORT_TOKEN", token);
    }
    if let Some(index) = job.node_index {
        list.add("CI_NODE_INDEX", index.to_string());
    }
    list.add("CI_NODE_TOTAL", job.node_total.unwrap_or(1).to_string());
    if let Some(environment) = &job.environment {
        list.add("CI_ENVIRONMENT_NAME", &environment.name);
        list.add("CI_ENVIRONMENT_ACTION", environment.action.as_str());
        list.null("CI_ENVIRONMENT_TIER", environment.tier.clone());
        if let Some(url) = &environment.url {
            list.add("CI_ENVIRONMENT_URL", url);
        }
    }
    list.0
}

/// Who runs the pipeline; for [`Level::User`](super::Level::User).
pub fn user(user: &UserFacts) -> Vec<Variable> {
    let mut list = List::default();
    list.add("GITLAB_USER_ID", user.id.to_string());
    list.add("GITLAB_USER_EMAIL", &user.email);
    list.add("GITLAB_USER_LOGIN", &user.login);
    list.add("GITLAB_USER_NAME", &user.name);
    list.0
}

/// The release of the pipeline's tag; for [`Level::Release`](super::Level::Release).
pub fn release(release: &ReleaseFacts) -> Vec<Variable> {
    let description = truncate(&release.description, limits::RELEASE_DESCRIPTION_CHARS);
    vec![
        Variable { raw: true, ..Variable::public("CI_RELEASE_DESCRIPTION", description) },
        Variable::public("CI_RELEASE_NAME", &release.name),
    ]
}

/// What exists once a runner has the job; for [`Level::Started`](super::Level::Started).
pub fn started_job(server: &ServerFacts, job: &StartedJobFacts) -> Vec<Variable> {
    let token = job.token.expose();
    let mut list = List::default();
    list.add("CI_PIPELINE_ID", job.pipeline_id.to_string());
    list.add("CI_PIPELINE_URL", &job.pipeline_url);
    list.add("CI_JOB_ID", job.id.to_string());
    list.add("CI_JOB_URL", &job.url);
    list.0.push(Variable::secret("CI_JOB_TOKEN", token));
    list.null("CI_JOB_STARTED_AT", job.started_at.map(iso8601));
    list.add("CI_REGISTRY_USER", JOB_USER);
    list.0.push(Variable::secret("CI_REGISTRY_PASSWORD", token));
    // Not masked as a whole in GitLab either: the token inside is.
    list.0.push(Variable::private("CI_REPOSITORY_URL", repository_url(&job.repository_url, token)));
    if let Some((user, password)) = &job.deploy_token {
        list.add("CI_DEPLOY_USER", user);
        list.0.push(Variable::secret("CI_DEPLOY_PASSWORD", password.expose()));
    }
    if server.dependency_proxy {
        list.add("CI_DEPENDENCY_PROXY_USER", JOB_USER);
        list.0.push(Variable::secret("CI_DEPENDENCY_PROXY_PASSWORD", token));
    }
    list.0
}

/// The runner that took the job; for [`Level::Runner`](super::Level::Runner).
pub fn runner(runner: &RunnerFacts) -> Vec<Variable> {
    let mut list = List::default();
    list.add("CI_RUNNER_ID", runner.id.to_string());
    list.null("CI_RUNNER_DESCRIPTION", runner.description.clone());
    // GitLab writes the list as Ruby prints it.
    list.add("CI_RUNNER_TAGS", format!("{:?}", runner.tags));
    list.0
}

/// What nobody overrides in a running job; for [`Level::Final`](super::Level::Final).
///
/// The URL is unexpanded: the runner knows the variables in it.
pub fn persisted(environment: Option<&EnvironmentFacts>, pages: Option<&PagesFacts>) -> Vec<Variable> {
    let mut list = List::default();
    if let Some(environment) = environment {
        if let Some(slug) = &environment.slug {
            list.add("CI_ENVIRONMENT_SLUG", slug);
        }
        if let Some(id) = environment.id {
            list.add("CI_ENVIRONMENT_ID", id.to_string());
        }
        if let Some(url) = &environment.url {
            list.add("CI_ENVIRONMENT_URL", url);
        }
    }
    if let Some(pages) = pages {
        list.add("CI_PAGES_HOSTNAME", &pages.hostname);
        list.add("CI_PAGES_URL", &pages.url);
    }
    list.0
}

/// A text for host names and paths: lowercase, all but letters and digits of ASCII as `-`, at most 63
/// characters, no `-` at the ends (`Gitlab::Utils.slugify`).
pub fn slugify(text: &str) -> String {
    let slug: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .take(limits::SLUG_CHARS)
        .collect();
    slug.trim_matches('-').to_owned()
}

/// A job's name without what `parallel` or a counter adds: `rspec 1/3`, `deploy: [aws, eu]`
/// (`Gitlab::Utils::Job.group_name`).
pub fn group_name(job: &str) -> &str {
    // The classes are Ruby's `[\b\s:]` and `[\s:/\\]`; `\b` is a backspace there.
    static SUFFIX: LazyLock<Option<regex::Regex>> = LazyLock::new(|| {
        regex::Regex::new(r"([\x08\t-\r :]+(\[.*\]|[0-9]+[\t-\r :/\\]+[0-9]+)){1,3}[\t-\r ]*\z").ok()
    });
    let end = SUFFIX.as_ref().and_then(|suffix| suffix.find(job)).map_or(job.len(), |found| found.start());
    job[..end].trim()
}

/// The URL to clone with a job's token (`Ci::Build#repo_url`).
pub fn repository_url(url: &str, token: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{JOB_USER}:{token}@{rest}"),
        None => url.to_owned(),
    }
}

/// Public variables in the making.
#[derive(Default)]
struct List(Vec<Variable>);

impl List {
    fn add(&mut self, key: &str, value: impl Into<String>) {
        self.0.push(Variable::public(key, value));
    }

    fn add_if(&mut self, condition: bool, key: &str, value: impl Into<String>) {
        if condition {
            self.add(key, value);
        }
    }

    fn null(&mut self, key: &str, value: Option<String>) {
        self.0.push(Variable::nullable(key, value));
    }
}

/// The parts of the server's URL.
struct Address<'u> {
    protocol: &'u str,
    host: &'u str,
    port: &'u str,
    /// With a port only where it is not the protocol's own, and with the relative root.
    fqdn: String,
}

impl<'u> Address<'u> {
    fn of(url: &'u str) -> Self {
        let (protocol, rest) = url.split_once("://").unwrap_or(("http", url));
        let (authority, root) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let standard = if protocol == "https" { "443" } else { "80" };
        // The colons of an IPv6 address stand in brackets.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (authority, standard),
        };
        let root = root.trim_end_matches('/');
        let fqdn = if port == standard { format!("{host}{root}") } else { format!("{host}:{port}{root}") };
        Self { protocol, host, port, fqdn }
    }
}

fn server_variables(list: &mut List, server: &ServerFacts, address: &Address<'_>) {
    list.add("CI", "true");
    list.add("GITLAB_CI", "true");
    list.add("CI_SERVER_FQDN", &address.fqdn);
    list.add("CI_SERVER_URL", &server.url);
    list.add("CI_SERVER_HOST", address.host);
    list.add("CI_SERVER_PORT", address.port);
    list.add("CI_SERVER_PROTOCOL", address.protocol);
    list.add("CI_SERVER_SHELL_SSH_HOST", &server.ssh_host);
    list.add("CI_SERVER_SHELL_SSH_PORT", server.ssh_port.to_string());
    list.add("CI_SERVER_NAME", &server.name);
    list.add("CI_SERVER_VERSION", &server.version);
    let plain = server.version.split('-').next().unwrap_or_default();
    let mut numbers = plain.split('.');
    for part in ["MAJOR", "MINOR", "PATCH"] {
        list.add(&format!("CI_SERVER_VERSION_{part}"), numbers.next().unwrap_or("0"));
    }
    list.add("CI_SERVER_REVISION", &server.revision);
}

fn project_variables(list: &mut List, server: &ServerFacts, project: &ProjectFacts, address: &Address<'_>) {
    let (namespace, name) = project.path.rsplit_once('/').unwrap_or(("", &project.path));
    let root = namespace.split('/').next().unwrap_or_default();
    list.add("GITLAB_FEATURES", server.features.join(","));
    list.add("CI_PROJECT_ID", project.id.to_string());
    list.add("CI_PROJECT_NAME", name);
    list.add("CI_PROJECT_TITLE", &project.title);
    list.null("CI_PROJECT_DESCRIPTION", project.description.clone());
    list.add(
        "CI_PROJECT_TOPICS",
        project.topics[..project.topics.len().min(limits::PROJECT_TOPICS)].join(",").to_lowercase(),
    );
    list.add("CI_PROJECT_PATH", &project.path);
    list.add("CI_PROJECT_PATH_SLUG", slugify(&project.path));
    list.add("CI_PROJECT_NAMESPACE", namespace);
    list.add("CI_PROJECT_NAMESPACE_SLUG", slugify(namespace));
    list.add("CI_PROJECT_NAMESPACE_ID", project.namespace_id.to_string());
    list.add("CI_PROJECT_ROOT_NAMESPACE", root);
    list.add("CI_PROJECT_URL", format!("{}/{}", server.url.trim_end_matches('/'), project.path));
    list.add("CI_PROJECT_VISIBILITY", project.visibility.as_str());
    list.add("CI_PROJECT_REPOSITORY_LANGUAGES", project.languages.join(",").to_lowercase());
    list.null("CI_PROJECT_CLASSIFICATION_LABEL", project.classification_label.clone());
    list.null("CI_DEFAULT_BRANCH", project.default_branch.clone());
    list.null("CI_DEFAULT_BRANCH_SLUG", project.default_branch.as_deref().map(slugify));
    list.add("CI_CONFIG_PATH", &project.config_path);
    if let Some(domain) = &server.pages_domain {
        list.add("CI_PAGES_DOMAIN", domain);
    }
    if let Some(registry) = &server.registry {
        list.add("CI_REGISTRY", registry);
        list.add_if(
            project.registry,
            "CI_REGISTRY_IMAGE",
            format!("{registry}/{}", project.path.to_lowercase()),
        );
    }
    if server.dependency_proxy {
        let proxy = format!("{}:{}", address.host, address.port);
        // The paths are lowercase, as Docker wants them.
        let prefix = |group: &str| format!("{proxy}/{}/dependency_proxy/containers", group.to_lowercase());
        list.add("CI_DEPENDENCY_PROXY_SERVER", &proxy);
        list.add("CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX", prefix(root));
        list.add("CI_DEPENDENCY_PROXY_DIRECT_GROUP_IMAGE_PREFIX", prefix(namespace));
    }
    let url = server.url.trim_end_matches('/');
    list.add("CI_API_V4_URL", format!("{url}/api/v4"));
    list.add("CI_API_GRAPHQL_URL", format!("{url}/api/graphql"));
    list.add("CI_TEMPLATE_REGISTRY_HOST", &server.template_registry_host);
}

fn pipeline_variables(
    list: &mut List,
    pipeline: &PipelineFacts,
    project: &ProjectFacts,
    address: &Address<'_>,
) {
    list.add("CI_PIPELINE_IID", pipeline.iid.map(|iid| iid.to_string()).unwrap_or_default());
    list.add("CI_PIPELINE_SOURCE", pipeline.source.as_str());
    list.null("CI_PIPELINE_CREATED_AT", pipeline.created_at.map(iso8601));
    list.null("CI_PIPELINE_NAME", pipeline.name.clone());
    if let Some(description) = &pipeline.schedule_description {
        list.add("CI_PIPELINE_SCHEDULE_DESCRIPTION", description);
    }
    let ref_path = match (pipeline.commit.ref_kind, &pipeline.merge_request) {
        (RefKind::Branch, _) => format!("refs/heads/{}", pipeline.commit.ref_name),
        (RefKind::Tag, _) => format!("refs/tags/{}", pipeline.commit.ref_name),
        (RefKind::MergeRequest, Some(merge_request)) => merge_request.ref_path.clone(),
        (RefKind::MergeRequest, None) => return,
    };
    list.add(
        "CI_CONFIG_REF_URI",
        format!("{}/{}//{}@{ref_path}", address.fqdn, project.path, project.config_path),
    );
}

fn commit_variables(list: &mut List, commit: &CommitFacts) {
    list.add("CI_COMMIT_SHA", &commit.sha);
    list.add("CI_COMMIT_SHORT_SHA", commit.sha.get(..8).unwrap_or(&commit.sha));
    list.add("CI_COMMIT_BEFORE_SHA", &commit.before_sha);
    list.add("CI_COMMIT_REF_NAME", &commit.ref_name);
    list.add("CI_COMMIT_REF_SLUG", slugify(&commit.ref_name));
    list.add_if(commit.ref_kind == RefKind::Branch, "CI_COMMIT_BRANCH", &commit.ref_name);
    let truncated = commit.message.len() > limits::COMMIT_MESSAGE_BYTES;
    let (title, description) = title_and_description(&commit.message);
    for (key, text) in [("MESSAGE", &*commit.message), ("TITLE", title), ("DESCRIPTION", description)] {
        if key == "TITLE" {
            list.add("CI_COMMIT_MESSAGE_IS_TRUNCATED", truncated.to_string());
        }
        let end = text.floor_char_boundary(limits::COMMIT_MESSAGE_BYTES);
        list.add(&format!("CI_COMMIT_{key}"), &text[..end]);
    }
    list.add("CI_COMMIT_REF_PROTECTED", commit.ref_protected.to_string());
    list.add("CI_COMMIT_TIMESTAMP", &commit.timestamp);
    list.add("CI_COMMIT_AUTHOR", &commit.author);
    list.add("CI_COMMIT_USER_LOGIN", commit.user_login.as_deref().unwrap_or_default());
    if commit.ref_kind == RefKind::Tag {
        list.add("CI_COMMIT_TAG", &commit.ref_name);
        list.null("CI_COMMIT_TAG_MESSAGE", commit.tag_message.clone());
    }
}

/// The first line, and the rest or, after a long first line, everything (`app/models/commit.rb`).
fn title_and_description(message: &str) -> (&str, &str) {
    const EMPTY: &str = "No commit message";
    const LONG_TITLE_CHARS: usize = 100;
    if message.trim().is_empty() {
        return (EMPTY, EMPTY);
    }
    let title = message.split(['\r', '\n']).next().unwrap_or_default();
    if title.chars().count() >= LONG_TITLE_CHARS {
        return (title, message);
    }
    let rest = message.split_once('\n').map_or("", |(_, rest)| rest);
    let rest = rest.strip_suffix("\r\n").or_else(|| rest.strip_suffix(['\n', '\r'])).unwrap_or(rest);
    (title, rest)
}

fn merge_request_variables(list: &mut List, merge_request: &MergeRequestFacts) {
    let mut add = |key: &str, value: &str| list.add(&format!("CI_MERGE_REQUEST_{key}"), value);
    let flag = |value: bool| if value { "true" } else { "false" };
    add("EVENT_TYPE", &merge_request.event_type);
    add("SOURCE_BRANCH_SHA", &merge_request.source_branch_sha);
    add("TARGET_BRANCH_SHA", &merge_request.target_branch_sha);
    if let Some((id, base_sha)) = &merge_request.diff {
        add("DIFF_ID", &id.to_string());
        add("DIFF_BASE_SHA", base_sha);
    }
    add("ID", &merge_request.id.to_string());
    add("IID", &merge_request.iid.to_string());
    add("REF_PATH", &merge_request.ref_path);
    add("PROJECT_ID", &merge_request.project_id.to_string());
    add("PROJECT_PATH", &merge_request.project_path);
    add("PROJECT_URL", &merge_request.project_url);
    add("TARGET_BRANCH_NAME", &merge_request.target_branch);
    add("TARGET_BRANCH_PROTECTED", flag(merge_request.target_branch_protected));
    add("TITLE", &merge_request.title);
    add("DRAFT", flag(merge_request.draft));
    let description = truncate(&merge_request.description, limits::MERGE_REQUEST_DESCRIPTION_CHARS);
    add("DESCRIPTION", &description);
    add("DESCRIPTION_IS_TRUNCATED", flag(description != merge_request.description));
    if !merge_request.assignees.is_empty() {
        add("ASSIGNEES", &sentence(&merge_request.assignees));
    }
    if let Some(milestone) = &merge_request.milestone {
        add("MILESTONE", milestone);
    }
    if !merge_request.labels.is_empty() {
        add("LABELS", &merge_request.labels.join(","));
    }
    add("SQUASH_ON_MERGE", flag(merge_request.squash_on_merge));
    if merge_request.approved {
        add("APPROVED", "true");
    }
    add("SOURCE_PROJECT_ID", &merge_request.source_project_id.to_string());
    add("SOURCE_PROJECT_PATH", &merge_request.source_project_path);
    add("SOURCE_PROJECT_URL", &merge_request.source_project_url);
    add("SOURCE_BRANCH_NAME", &merge_request.source_branch);
    add("SOURCE_BRANCH_PROTECTED", flag(merge_request.source_branch_protected));
}

fn external_pull_request_variables(list: &mut List, pull_request: &ExternalPullRequestFacts) {
    for (key, value) in [
        ("IID", pull_request.iid.to_string()),
        ("SOURCE_REPOSITORY", pull_request.source_repository.clone()),
        ("TARGET_REPOSITORY", pull_request.target_repository.clone()),
        ("SOURCE_BRANCH_SHA", pull_request.source_branch_sha.clone()),
        ("TARGET_BRANCH_SHA", pull_request.target_branch_sha.clone()),
        ("SOURCE_BRANCH_NAME", pull_request.source_branch.clone()),
        ("TARGET_BRANCH_NAME", pull_request.target_branch.clone()),
    ] {
        list.add(&format!("CI_EXTERNAL_PULL_REQUEST_{key}"), value);
    }
}

/// `a, b, and c`, as Rails joins names (`MergeRequest#assignee_username_list`).
fn sentence(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first, second] => format!("{first} and {second}"),
        [first @ .., last] => format!("{}, and {last}", first.join(", ")),
    }
}

/// At most so many characters, the last three dots where some are left out (Rails' `truncate`).
fn truncate(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    text.chars().take(chars - 3).chain("...".chars()).collect()
}

/// UTC in whole seconds: `2026-01-05T10:13:33Z`.
fn iso8601(time: Timestamp) -> String {
    let text = time.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

#[cfg(test)]
mod tests;
