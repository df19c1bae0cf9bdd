//! What hooks are told, as far as rows know it. Source: `lib/gitlab/data_builder/`, `app/models/project.rb#hook_attrs`.

use serde_json::{Value, json};
use weir_api::{JobStatus, Timestamp, Visibility};
use weir_compiler::plan;
use weir_store::artifacts::Artifact;
use weir_store::jobs::Job;
use weir_store::pipelines::Pipeline;
use weir_store::projects::Project;
use weir_store::runners::Runner;
use weir_store::users::User;

use crate::ctx::Ctx;

/// A project with the name of its namespace.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) project: Project,
    pub(super) namespace: String,
}

/// A job with what belongs to it.
#[derive(Debug, Clone)]
pub(super) struct Build {
    pub(super) job: Job,
    pub(super) user: Option<User>,
    pub(super) runner: Option<Runner>,
    pub(super) archive: Option<Artifact>,
    pub(super) definition: Option<plan::Job>,
    /// How many attempts came before it.
    pub(super) retries: usize,
}

/// A time as Ruby writes it.
pub(super) fn time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| {
        let text = at.to_string();
        format!("{} {} UTC", &text[..10], &text[11..19]).into()
    })
}

fn iso(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| format!("{}Z", &at.to_string()[..19]).into())
}

fn visibility_level(visibility: Visibility) -> i64 {
    match visibility {
        Visibility::Private => 0,
        Visibility::Internal => 10,
        Visibility::Public => 20,
    }
}

/// A project; with the older names of its URLs if `backward`.
pub(super) fn project(ctx: &Ctx, place: &Place, backward: bool) -> Value {
    let project = &place.project;
    let web_url = ctx.url(&format!("/{}", project.full_path));
    let ssh = format!("git@{}:{}.git", ctx.external_url.host_str().unwrap_or("localhost"), project.full_path);
    let http = format!("{web_url}.git");
    let mut attrs = json!({
        "id": project.id,
        "name": project.name,
        "description": project.description,
        "web_url": web_url,
        "avatar_url": null,
        "git_ssh_url": ssh,
        "git_http_url": http,
        "namespace": place.namespace,
        "visibility_level": visibility_level(project.visibility),
        "path_with_namespace": project.full_path,
        "default_branch": project.default_branch,
        "ci_config_path": project.settings.ci_config_path,
    });
    if backward {
        attrs["homepage"] = web_url.into();
        attrs["url"] = attrs["git_ssh_url"].clone();
        attrs["ssh_url"] = attrs["git_ssh_url"].clone();
        attrs["http_url"] = attrs["git_http_url"].clone();
    }
    attrs
}

/// The part of a project that was the whole of it once.
fn repository(ctx: &Ctx, place: &Place) -> Value {
    let project = project(ctx, place, true);
    let names = ["name", "url", "description", "homepage", "git_http_url", "git_ssh_url", "visibility_level"];
    names
        .into_iter()
        .map(|name| (name.to_owned(), project[name].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// A user.
pub(super) fn user(user: Option<&User>) -> Value {
    user.map_or(Value::Null, |user| {
        json!({
            "id": user.id,
            "name": user.name,
            "username": user.username,
            "avatar_url": null,
            "email": user.public_email.as_deref().unwrap_or("[REDACTED]"),
        })
    })
}

fn runner(runner: Option<&Runner>) -> Value {
    runner.map_or(Value::Null, |runner| {
        json!({
            "id": runner.id,
            "description": runner.description,
            "runner_type": runner.runner_type.as_str(),
            "active": !runner.paused,
            "is_shared": runner.runner_type == weir_api::RunnerType::Instance,
            "tags": runner.tags,
        })
    })
}

fn source_pipeline(ctx: &Ctx, pipeline: &Pipeline, upstream: Option<&Project>) -> Option<Value> {
    let (origin, project) = (pipeline.upstream?, upstream?);
    Some(json!({
        "project": {
            "id": project.id,
            "web_url": ctx.url(&format!("/{}", project.full_path)),
            "path_with_namespace": project.full_path,
        },
        "job_id": origin.job_id,
        "pipeline_id": origin.pipeline_id,
    }))
}

/// Seconds that a job or pipeline ran, and that it waited.
fn durations(job: &Job, now: Timestamp) -> (Option<f64>, Option<f64>) {
    let end = job.finished_at.unwrap_or(now);
    let waited = job.queued_at.map(|queued| job.started_at.unwrap_or(end).secs_since(queued));
    (job.started_at.map(|started| end.secs_since(started)), waited)
}

/// What became of a job. The commit's message and author are added before it is sent.
pub(super) fn build(
    ctx: &Ctx,
    place: &Place,
    pipeline: &Pipeline,
    upstream: Option<&Project>,
    build: &Build,
    status: JobStatus,
) -> Value {
    let (job, project) = (&build.job, &place.project);
    let (duration, queued) = durations(job, ctx.now());
    let failed = status == JobStatus::Failed;
    let reason = job.failure_reason.filter(|_| failed).map_or("unknown_failure", |reason| reason.as_str());
    let mut data = json!({
        "object_kind": "build",
        "ref": pipeline.ref_name,
        "tag": pipeline.tag,
        "before_sha": before(pipeline),
        "sha": pipeline.sha,
        "retries_count": build.retries,
        "build_id": job.id,
        "build_name": job.name,
        "build_stage": job.stage_name,
        "build_status": status.as_str(),
        "build_created_at": time(Some(job.created_at)),
        "build_started_at": time(job.started_at),
        "build_finished_at": time(job.finished_at),
        "build_created_at_iso": iso(Some(job.created_at)),
        "build_started_at_iso": iso(job.started_at),
        "build_finished_at_iso": iso(job.finished_at),
        "build_duration": duration,
        "build_queued_duration": queued,
        "build_allow_failure": job.allow_failure,
        "build_failure_reason": reason,
        "pipeline_id": pipeline.id,
        "runner": runner(build.runner.as_ref()),
        "project_id": project.id,
        "project_name": format!("{} / {}", place.namespace, project.name),
        "user": user(build.user.as_ref()),
        "commit": {
            "id": pipeline.id,
            "name": pipeline.name,
            "sha": pipeline.sha,
            "status": pipeline.status.as_str(),
            "duration": pipeline.duration,
            "started_at": time(pipeline.started_at),
            "finished_at": time(pipeline.finished_at),
            "started_at_iso": iso(pipeline.started_at),
            "finished_at_iso": iso(pipeline.finished_at),
        },
        "repository": repository(ctx, place),
        "project": self::project(ctx, place, false),
        "environment": environment(build),
    });
    if let Some(source) = source_pipeline(ctx, pipeline, upstream) {
        data["source_pipeline"] = source;
    }
    data
}

fn before(pipeline: &Pipeline) -> &str {
    pipeline.before_sha.as_deref().unwrap_or("0000000000000000000000000000000000000000")
}

fn environment(build: &Build) -> Value {
    let environment = build.definition.as_ref().and_then(|definition| definition.environment.as_ref());
    environment.map_or(Value::Null, |environment| {
        json!({
            "name": environment.name,
            "action": environment.action,
            "deployment_tier": environment.deployment_tier,
        })
    })
}

/// What belongs to a pipeline.
pub(super) struct PipelineParts<'a> {
    /// The project of the bridge that started it.
    pub(super) upstream: Option<&'a Project>,
    /// Given at its creation.
    pub(super) variables: &'a [(String, String)],
    pub(super) stages: &'a [String],
    /// The newest attempts.
    pub(super) builds: &'a [Build],
    /// Who runs it.
    pub(super) owner: Option<&'a User>,
}

/// What became of a pipeline. The commit is added before it is sent.
pub(super) fn pipeline(
    ctx: &Ctx,
    place: &Place,
    pipeline: &Pipeline,
    parts: &PipelineParts<'_>,
    status: JobStatus,
) -> Value {
    let PipelineParts { upstream, variables, stages, builds, owner } = *parts;
    let variables: Vec<_> =
        variables.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    let waited = pipeline.started_at.map(|at| at.secs_since(pipeline.created_at));
    let warnings = builds.iter().any(|it| it.job.allow_failure && it.job.status == JobStatus::Failed);
    let mut data = json!({
        "object_kind": "pipeline",
        "object_attributes": {
            "id": pipeline.id,
            "iid": pipeline.iid,
            "name": pipeline.name,
            "ref": pipeline.ref_name,
            "tag": pipeline.tag,
            "sha": pipeline.sha,
            "before_sha": before(pipeline),
            "source": pipeline.source.as_str(),
            "status": status.as_str(),
            "detailed_status": label(status, warnings),
            "stages": stages,
            "created_at": time(Some(pipeline.created_at)),
            "finished_at": time(pipeline.finished_at),
            "duration": pipeline.duration.map(f64::round),
            "queued_duration": waited,
            "protected_ref": pipeline.protected,
            "variables": variables,
            "url": ctx.url(&format!("/{}/-/pipelines/{}", place.project.full_path, pipeline.id)),
        },
        "merge_request": null,
        "user": user(owner),
        "project": project(ctx, place, false),
        "commit": null,
        "builds": builds.iter().map(|it| of_pipeline(ctx, it)).collect::<Vec<_>>(),
    });
    if let Some(source) = source_pipeline(ctx, pipeline, upstream) {
        data["source_pipeline"] = source;
    }
    data
}

/// A pipeline's status in the words of its badge's label. Source: `lib/gitlab/ci/status/`.
fn label(status: JobStatus, warnings: bool) -> &'static str {
    match status {
        JobStatus::Success if warnings => "passed with warnings",
        JobStatus::Success => "passed",
        JobStatus::Manual => "waiting for manual action",
        JobStatus::Scheduled => "waiting for delayed job",
        JobStatus::WaitingForResource => "waiting for resource",
        JobStatus::WaitingForCallback => "waiting for callback",
        other => other.as_str(),
    }
}

fn of_pipeline(ctx: &Ctx, build: &Build) -> Value {
    let job = &build.job;
    let (duration, queued) = durations(job, ctx.now());
    let failed = job.status == JobStatus::Failed;
    let when = build.definition.as_ref().map_or(plan::When::OnSuccess, |definition| definition.when);
    json!({
        "id": job.id,
        "stage": job.stage_name,
        "name": job.name,
        "status": job.status.as_str(),
        "created_at": time(Some(job.created_at)),
        "started_at": time(job.started_at),
        "finished_at": time(job.finished_at),
        "duration": duration,
        "queued_duration": queued,
        "failure_reason": job.failure_reason.filter(|_| failed).map(weir_api::FailureReason::as_str),
        "when": when,
        "manual": matches!(when, plan::When::Manual | plan::When::Delayed),
        "allow_failure": job.allow_failure,
        "user": user(build.user.as_ref()),
        "runner": runner(build.runner.as_ref()),
        "artifacts_file": {
            "filename": build.archive.as_ref().map(|it| it.filename.as_str()),
            "size": build.archive.as_ref().map(|it| it.size),
        },
        "environment": environment(build),
    })
}

/// A push, or a tag that was made or removed. Commits are added before it is sent.
pub(super) struct Pushed<'a> {
    pub(super) ref_name: &'a str,
    pub(super) before: &'a str,
    pub(super) after: &'a str,
    pub(super) protected: bool,
    pub(super) options: &'a [String],
}

pub(super) fn push(ctx: &Ctx, place: &Place, who: &User, pushed: &Pushed<'_>) -> Value {
    let kind = if pushed.ref_name.starts_with("refs/tags/") { "tag_push" } else { "push" };
    json!({
        "object_kind": kind,
        "event_name": kind,
        "before": pushed.before,
        "after": pushed.after,
        "ref": pushed.ref_name,
        "ref_protected": pushed.protected,
        "checkout_sha": null,
        "message": null,
        "user_id": who.id,
        "user_name": who.name,
        "user_username": who.username,
        "user_email": who.public_email.as_deref().unwrap_or(""),
        "user_avatar": null,
        "project_id": place.project.id,
        "project": project(ctx, place, true),
        "commits": [],
        "total_commits_count": 0,
        "push_options": options(pushed.options),
        "repository": repository(ctx, place),
    })
}

/// Push options as nested hashes: `ci.skip` is `{"ci": {"skip": true}}`. Source: `lib/gitlab/push_options.rb`.
fn options(options: &[String]) -> Value {
    let mut tree = json!({});
    for option in options {
        let (name, value) =
            option.split_once('=').map_or((option.as_str(), None), |(name, value)| (name, Some(value)));
        let Some((namespace, key)) = name.split_once('.') else { continue };
        let value = match (namespace, key, value) {
            // These can be given more than once.
            ("ci", "variable" | "input", Some(value)) => {
                let mut all = tree["ci"][key].as_object().cloned().unwrap_or_default();
                all.insert(value.to_owned(), 1.into());
                all.into()
            }
            (_, _, Some(value)) => value.into(),
            (_, _, None) => true.into(),
        };
        if matches!(namespace, "ci" | "merge_request" | "mr" | "integrations" | "secret_push_protection") {
            tree[namespace][key] = value;
        }
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_ruby_does() {
        let at: Timestamp = "2016-08-12T15:23:28.123Z".parse().unwrap();
        assert_eq!(time(Some(at)), "2016-08-12 15:23:28 UTC");
        assert_eq!(iso(Some(at)), "2016-08-12T15:23:28Z");
        assert_eq!(time(None), Value::Null);
    }

    #[test]
    fn push_options_nest() {
        let given = ["ci.skip", "ci.variable=A=1", "ci.variable=B=2", "other.x"].map(str::to_owned);
        assert_eq!(options(&given), json!({ "ci": { "skip": true, "variable": { "A=1": 1, "B=2": 1 } } }));
        assert_eq!(options(&[]), json!({}));
    }
}
