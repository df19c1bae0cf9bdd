//! What a runner gets to run a job.
//!
//! Texts that the runner expands (image, services, cache keys, paths) stay as written.
//!
//! Sources: `app/presenters/ci/build_runner_presenter.rb`, `app/models/ci/build.rb`, `lib/gitlab/ci/build/`,
//! `lib/api/entities/ci/job_request/`.

use weir_api::id::{JobId, PipelineId};
use weir_api::runner::{
    Artifact, Cache, Credentials, Dependency, DependencyFile, Features, GitInfo, Hook, Image, JobInfo,
    JobInput, JobPayload, JobVariable, ObjectFormat, RefType, RunnerInfo, Service, ServiceVariable, Step,
};
use weir_api::status::{ArtifactFileType, ArtifactFormat, When};
use weir_api::{FailureReason, Secret, Word};
use weir_compiler::plan::{self, ArtifactsWhen, Run};
use weir_compiler::vars::{Expansion, Variable, Variables};

/// Everything that makes up a payload.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// What the job is.
    pub info: JobInfo,
    /// The job.
    pub id: JobId,
    /// The job's token.
    pub token: &'a Secret,
    /// What the job runs.
    pub run: &'a Run,
    /// The effective timeout in seconds.
    pub timeout: u64,
    /// The job's variables of all levels.
    pub variables: &'a Variables,
    /// The repository and the commit.
    pub git: Git<'a>,
    /// What changes the keys of caches.
    pub caches: Caches,
    /// The jobs whose archives to download, see [`crate::dependencies::of`].
    pub dependencies: Vec<Archive>,
    /// For registries that the job may read.
    pub credentials: Vec<Credentials>,
    /// The job's inputs.
    pub inputs: Vec<JobInput>,
    /// What this server's tokens begin with.
    pub token_prefixes: Vec<String>,
    /// Where the runner's session for this job is reached.
    pub session_url: Option<String>,
}

/// What a pipeline runs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ref<'a> {
    /// A branch, by its short name.
    Branch(&'a str),
    /// A tag, by its short name.
    Tag(&'a str),
    /// A merge request, by the name of its ref (`refs/merge-requests/1/head`).
    MergeRequest(&'a str),
}

/// The repository and the commit.
#[derive(Debug, Clone)]
pub struct Git<'a> {
    /// Where to fetch from, with the job's token.
    pub repo_url: Secret,
    /// How the repository names its objects.
    pub object_format: ObjectFormat,
    /// What the pipeline runs for.
    pub reference: Ref<'a>,
    /// Whether that is protected.
    pub protected: bool,
    /// The commit.
    pub sha: &'a str,
    /// The commit before it, if any.
    pub before_sha: Option<&'a str>,
    /// The pipeline whose own ref `refs/pipelines/<id>` is served, so that its commit outlives its branch.
    pub pipeline: Option<PipelineId>,
    /// How many commits to fetch unless `GIT_DEPTH` says otherwise; 0 for all. The project's setting.
    pub default_depth: u32,
    /// Whether a runner may use its work tree again. The project's setting.
    pub allow_fetch: bool,
}

/// What changes the keys of caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Caches {
    /// How often the project's caches were cleared.
    pub index: Option<u64>,
    /// Jobs that are trusted and jobs that are not have caches of their own. The project's setting.
    pub separated: bool,
    /// This job is trusted: nobody who may not change a protected branch can have filled its caches.
    pub protected: bool,
}

/// An archive to download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The job that made it.
    pub job: JobId,
    /// That job's name.
    pub name: String,
    /// The archive's file name.
    pub filename: String,
    /// Its size in bytes.
    pub size: i64,
}

/// The payload of a job that a runner has just taken.
pub fn payload(facts: Facts<'_>) -> JobPayload {
    let Facts { run, variables, token, .. } = facts;
    let timeout = i64::try_from(facts.timeout).unwrap_or(i64::MAX);
    JobPayload {
        id: facts.id,
        token: token.clone(),
        allow_git_fetch: facts.git.allow_fetch,
        job_info: facts.info,
        git_info: git_info(facts.git, variables),
        runner_info: RunnerInfo { timeout, runner_session_url: facts.session_url, uuid: None },
        inputs: facts.inputs,
        variables: runner_variables(variables),
        steps: steps(run, timeout),
        hooks: hooks(run),
        image: run.image.as_ref().map(image),
        services: run.services.iter().map(service).collect(),
        artifacts: run.artifacts.as_ref().map(artifacts).unwrap_or_default(),
        cache: run.cache.iter().map(|entry| cache(entry, facts.caches)).collect(),
        credentials: facts.credentials,
        dependencies: facts.dependencies.into_iter().map(|archive| dependency(archive, token)).collect(),
        features: Features {
            trace_sections: true,
            token_mask_prefixes: facts.token_prefixes,
            failure_reasons: FailureReason::ALL.iter().copied().map(Word::Known).collect(),
        },
        run: None,
        policy_options: None,
        secrets: None,
    }
}

fn git_info(git: Git<'_>, variables: &Variables) -> GitInfo {
    let depth = depth(&git, variables);
    let (name, ref_type) = match git.reference {
        Ref::Branch(name) | Ref::MergeRequest(name) => (name, RefType::Branch),
        Ref::Tag(name) => (name, RefType::Tag),
    };
    let digits = match git.object_format {
        ObjectFormat::Sha1 => 40,
        ObjectFormat::Sha256 => 64,
    };
    GitInfo {
        refspecs: refspecs(&git, depth),
        ref_name: name.to_owned(),
        ref_type: ref_type.into(),
        sha: git.sha.to_owned(),
        before_sha: git.before_sha.map_or_else(|| "0".repeat(digits), str::to_owned),
        depth,
        protected: Some(git.protected),
        repo_object_format: git.object_format.into(),
        repo_url: git.repo_url,
    }
}

/// `GIT_DEPTH`, read as Ruby reads numbers: what does not begin with one is 0.
fn depth(git: &Git<'_>, variables: &Variables) -> i64 {
    match variables.get("GIT_DEPTH") {
        None => i64::from(git.default_depth),
        Some(variable) => {
            let text = variable.text().trim_start();
            let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
            let digits = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
            text[..text.len() - unsigned.len() + digits].parse().unwrap_or(0)
        }
    }
}

fn refspecs(git: &Git<'_>, depth: i64) -> Vec<String> {
    let branch = |name: &str| format!("+refs/heads/{name}:refs/remotes/origin/{name}");
    let tag = |name: &str| format!("+refs/tags/{name}:refs/tags/{name}");
    let own = git.pipeline.map(|id| format!("+refs/pipelines/{id}:refs/pipelines/{id}"));
    let others = match (depth, git.reference) {
        (..=0, _) => vec![branch("*"), tag("*")],
        (_, Ref::Branch(name)) => vec![branch(name)],
        (_, Ref::Tag(name)) => vec![tag(name)],
        // The pipeline's own ref holds its commit.
        (_, Ref::MergeRequest(_)) if own.is_some() => Vec::new(),
        (_, Ref::MergeRequest(name)) => vec![format!("+{name}:{name}")],
    };
    own.into_iter().chain(others).collect()
}

/// Variables that refer to each other in a circle, or grow beyond all bounds, are sent as they stand.
fn runner_variables(variables: &Variables) -> Vec<JobVariable> {
    let expanded =
        variables.expanded(Expansion::RUNNER).unwrap_or_else(|_| variables.iter().cloned().collect());
    expanded.into_iter().map(variable).collect()
}

fn variable(variable: Variable) -> JobVariable {
    JobVariable {
        key: variable.key,
        value: variable.value.unwrap_or_default(),
        public: variable.public,
        file: variable.file,
        masked: variable.masked,
        raw: variable.raw,
    }
}

fn steps(run: &Run, timeout: i64) -> Vec<Step> {
    let script = Step {
        name: "script".to_owned(),
        script: run.before_script.iter().chain(&run.script).cloned().collect(),
        timeout,
        when: When::OnSuccess.into(),
        allow_failure: false,
    };
    let after_script = Step {
        name: "after_script".to_owned(),
        script: run.after_script.clone(),
        timeout,
        when: When::Always.into(),
        allow_failure: true,
    };
    [Some(script), (!run.after_script.is_empty()).then_some(after_script)].into_iter().flatten().collect()
}

fn hooks(run: &Run) -> Vec<Hook> {
    let script = &run.pre_get_sources_script;
    let hook = || Hook { name: "pre_get_sources_script".to_owned(), script: script.clone() };
    (!script.is_empty()).then(hook).into_iter().collect()
}

fn image(image: &plan::Image) -> Image {
    Image {
        name: image.name.clone(),
        entrypoint: image.entrypoint.clone(),
        ports: Vec::new(),
        executor_opts: executor_opts(image),
        pull_policy: pull_policy(image),
    }
}

fn service(service: &plan::Image) -> Service {
    let variables = service
        .variables
        .iter()
        .map(|plan::Variable { key, value, .. }| ServiceVariable { key: key.clone(), value: value.clone() });
    Service {
        name: service.name.clone(),
        entrypoint: service.entrypoint.clone(),
        ports: Vec::new(),
        executor_opts: executor_opts(service),
        pull_policy: pull_policy(service),
        alias: service.alias.clone(),
        command: service.command.clone(),
        variables: (!service.variables.is_empty()).then(|| variables.collect()),
    }
}

fn executor_opts(image: &plan::Image) -> weir_api::runner::ExecutorOpts {
    serde_json::from_value(image.executor_opts.clone().into()).unwrap_or_default()
}

fn pull_policy(image: &plan::Image) -> Option<Vec<Word<weir_api::status::PullPolicy>>> {
    let words = image.pull_policy.iter().map(|policy| word(policy));
    (!image.pull_policy.is_empty()).then(|| words.collect())
}

/// The word of a vocabulary, or the text as it stands: it may be a variable.
fn word<T: std::str::FromStr>(text: &str) -> Word<T> {
    text.parse().map_or_else(|_| Word::Other(text.to_owned()), Word::Known)
}

const fn when(when: ArtifactsWhen) -> When {
    match when {
        ArtifactsWhen::OnSuccess => When::OnSuccess,
        ArtifactsWhen::OnFailure => When::OnFailure,
        ArtifactsWhen::Always => When::Always,
    }
}

/// The archive, if anything is to be archived, and one entry for each report.
fn artifacts(artifacts: &plan::Artifacts) -> Vec<Artifact> {
    let archive = Artifact {
        name: artifacts.name.clone(),
        untracked: artifacts.untracked.then_some(true),
        paths: artifacts.paths.clone(),
        exclude: artifacts.exclude.clone(),
        when: when(artifacts.when).into(),
        expire_in: artifacts.expire_in.clone(),
        artifact_type: ArtifactFileType::Archive.into(),
        artifact_format: ArtifactFormat::Zip.into(),
    };
    let reports = artifacts.reports.iter().filter_map(|(kind, paths)| {
        let kind = kind.parse().ok()?;
        let (name, format) = report_file(kind)?;
        Some(Artifact {
            name: Some(name.to_owned()),
            untracked: None,
            paths: paths.clone(),
            exclude: Vec::new(),
            when: When::Always.into(),
            expire_in: artifacts.expire_in.clone(),
            artifact_type: kind.into(),
            artifact_format: format.into(),
        })
    });
    let has_archive = artifacts.untracked || !artifacts.paths.is_empty();
    has_archive.then_some(archive).into_iter().chain(reports).collect()
}

/// How the file of a report is called and packed; none for what no job can report.
///
/// Source: `app/models/concerns/enums/ci/job_artifact.rb`.
pub const fn report_file(report: ArtifactFileType) -> Option<(&'static str, ArtifactFormat)> {
    use ArtifactFileType as Type;
    use ArtifactFormat::{Gzip, Raw, Zip};
    Some(match report {
        Type::Archive | Type::Metadata | Type::Trace | Type::MetricsReferee | Type::NetworkReferee => {
            return None;
        }
        Type::Junit => ("junit.xml", Gzip),
        Type::Accessibility => ("gl-accessibility.json", Raw),
        Type::Codequality => ("gl-code-quality-report.json", Raw),
        Type::Sast => ("gl-sast-report.json", Raw),
        Type::SecretDetection => ("gl-secret-detection-report.json", Raw),
        Type::DependencyScanning => ("gl-dependency-scanning-report.json", Raw),
        Type::ContainerScanning => ("gl-container-scanning-report.json", Raw),
        Type::ClusterImageScanning => ("gl-cluster-image-scanning-report.json", Raw),
        Type::Dast => ("gl-dast-report.json", Raw),
        Type::LicenseScanning => ("gl-license-scanning-report.json", Raw),
        Type::Performance => ("performance.json", Raw),
        Type::BrowserPerformance => ("browser-performance.json", Raw),
        Type::LoadPerformance => ("load-performance.json", Raw),
        Type::Metrics => ("metrics.txt", Gzip),
        Type::Lsif => ("lsif.json", Zip),
        Type::Scip => ("index.scip", Zip),
        Type::Dotenv => (".env", Gzip),
        Type::Cobertura => ("cobertura-coverage.xml", Gzip),
        Type::Jacoco => ("jacoco-coverage.xml", Gzip),
        Type::Terraform => ("tfplan.json", Raw),
        Type::ClusterApplications => ("gl-cluster-applications.json", Gzip),
        Type::Requirements => ("requirements.json", Raw),
        Type::RequirementsV2 => ("requirements_v2.json", Raw),
        Type::CoverageFuzzing => ("gl-coverage-fuzzing.json", Raw),
        Type::ApiFuzzing => ("gl-api-fuzzing-report.json", Raw),
        Type::Cyclonedx => ("gl-sbom.cdx.json", Gzip),
        Type::Annotations => ("gl-annotations.json", Gzip),
        Type::RepositoryXray => ("gl-repository-xray.json", Gzip),
        Type::Sarif => ("gl-sarif-report.sarif", Raw),
    })
}

fn cache(cache: &plan::Cache, caches: Caches) -> Cache {
    let mut suffix = caches.index.map(|index| format!("-{index}")).unwrap_or_default();
    if caches.separated {
        suffix.push_str(if caches.protected && !cache.unprotect { "-protected" } else { "-non_protected" });
    }
    Cache {
        key: format!("{}{suffix}", cache.key),
        untracked: cache.untracked.then_some(true),
        paths: cache.paths.clone(),
        policy: word(&cache.policy),
        when: when(cache.when).into(),
        fallback_keys: cache.fallback_keys.iter().map(|key| format!("{key}{suffix}")).collect(),
    }
}

/// A dependency is downloaded with the token of the job that downloads.
fn dependency(archive: Archive, token: &Secret) -> Dependency {
    Dependency {
        id: archive.job,
        name: archive.name,
        token: token.clone(),
        artifacts_file: Some(DependencyFile { filename: archive.filename, size: archive.size }),
    }
}
