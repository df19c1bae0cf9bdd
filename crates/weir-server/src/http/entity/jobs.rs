//! Jobs and bridges.

use serde_json::Value;
use weir_api::artifacts::{ArtifactsFile, JobArtifact};
use weir_api::jobs::{Bridge, Job, JobBasic, JobProject};
use weir_api::runners::{Runner, RunnerManager, RunnerStatus};
use weir_api::status::{ArtifactFileType, JobStatus};
use weir_api::{RunnerType, Word};
use weir_store::runners as rows;

use super::{pipelines, users};
use crate::app::jobs::JobDetails;
use crate::ctx::Ctx;

/// A job.
pub fn full(ctx: &Ctx, details: &JobDetails) -> Job {
    let now = ctx.now();
    let shown = details.artifacts.iter().filter(|it| it.locked || it.expire_at.is_none_or(|at| at > now));
    let archive = shown.clone().find(|it| it.file_type == ArtifactFileType::Archive);
    let size = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let mut artifacts: Vec<JobArtifact> = shown
        .clone()
        .map(|it| JobArtifact {
            file_type: Word::Known(it.file_type),
            size: size(it.size),
            filename: it.filename.clone(),
            file_format: Some(Word::Known(it.file_format)),
        })
        .collect();
    // GitLab shows a trace here once it is archived, which is when the job has ended.
    if let Some(trace) = details.trace.as_ref().filter(|_| details.job.finished_at.is_some()) {
        artifacts.push(JobArtifact {
            file_type: Word::Known(ArtifactFileType::Trace),
            size: size(trace.size),
            filename: "job.log".to_owned(),
            file_format: None,
        });
    }
    Job {
        basic: basic(ctx, details),
        project: project(details),
        artifacts_file: archive
            .map(|it| ArtifactsFile { filename: it.filename.clone(), size: size(it.size) }),
        artifacts,
        runner: details.runner.as_ref().map(|runner| self::runner(ctx, runner)),
        runner_manager: details.manager.as_ref().map(|it| manager(ctx, it)),
        artifacts_expire_at: details.job.artifacts_expire_at,
        archived: false,
        tag_list: details.tags.clone(),
        source: Some(Word::Known(details.pipeline.source)),
        extra: weir_api::Extra::default(),
    }
}

/// A bridge.
pub fn bridge(ctx: &Ctx, details: &JobDetails) -> Bridge {
    Bridge {
        basic: basic(ctx, details),
        project: project(details),
        downstream_pipeline: details
            .downstream
            .as_ref()
            .map(|(project, pipeline)| pipelines::basic(ctx, project, pipeline)),
        extra: weir_api::Extra::default(),
    }
}

/// A job or a bridge.
pub fn any(ctx: &Ctx, details: &JobDetails) -> Value {
    let entity = if details.job.bridge {
        serde_json::to_value(bridge(ctx, details))
    } else {
        serde_json::to_value(full(ctx, details))
    };
    // Entities are plain data; turning them into JSON does not fail.
    entity.unwrap_or_default()
}

fn project(details: &JobDetails) -> JobProject {
    JobProject { ci_job_token_scope_enabled: details.project.settings.ci_job_token_scope_enabled }
}

/// What a list of jobs elsewhere shows of a job or bridge.
pub fn basic(ctx: &Ctx, details: &JobDetails) -> JobBasic {
    let (job, now) = (&details.job, ctx.now());
    let end = job.finished_at.unwrap_or(now);
    JobBasic {
        id: job.id,
        status: Word::Known(job.status),
        stage: job.stage_name.clone(),
        name: job.name.clone(),
        ref_name: details.pipeline.ref_name.clone(),
        tag: details.pipeline.tag,
        coverage: job.coverage,
        allow_failure: job.allow_failure,
        created_at: Some(job.created_at),
        started_at: job.started_at,
        finished_at: job.finished_at,
        erased_at: job.erased_at,
        duration: job.started_at.map(|started| end.secs_since(started)),
        queued_duration: job.queued_at.map(|queued| job.started_at.unwrap_or(end).secs_since(queued)),
        user: details.user.as_ref().map(|user| users::full(ctx, user)),
        commit: details.commit.clone(),
        pipeline: Some(pipelines::basic(ctx, &details.project, &details.pipeline)),
        failure_reason: (job.status == JobStatus::Failed)
            .then(|| Word::Known(job.failure_reason.unwrap_or(weir_api::FailureReason::UnknownFailure))),
        web_url: ctx.url(&format!("/{}/-/jobs/{}", details.project.full_path, job.id)),
    }
}

fn status(status: rows::RunnerStatus) -> Word<RunnerStatus> {
    Word::Known(match status {
        rows::RunnerStatus::Online => RunnerStatus::Online,
        rows::RunnerStatus::Offline => RunnerStatus::Offline,
        rows::RunnerStatus::Stale => RunnerStatus::Stale,
        rows::RunnerStatus::NeverContacted => RunnerStatus::NeverContacted,
    })
}

fn runner(ctx: &Ctx, runner: &rows::Runner) -> Runner {
    let status_now = runner.status(ctx.now());
    Runner {
        id: runner.id,
        description: runner.description.clone(),
        ip_address: None,
        active: !runner.paused,
        paused: runner.paused,
        is_shared: runner.runner_type == RunnerType::Instance,
        runner_type: Some(Word::Known(runner.runner_type)),
        name: None,
        online: runner.contacted_at.map(|_| status_now == rows::RunnerStatus::Online),
        status: Some(status(status_now)),
        created_by: None,
        created_at: Some(runner.created_at),
        job_execution_status: None,
    }
}

fn manager(ctx: &Ctx, manager: &rows::RunnerManager) -> RunnerManager {
    RunnerManager {
        id: manager.id,
        system_id: manager.system_id.clone(),
        version: manager.info.version.clone(),
        revision: manager.info.revision.clone(),
        platform: manager.info.platform.clone(),
        architecture: manager.info.architecture.clone(),
        ip_address: manager.info.ip_address.clone(),
        created_at: Some(manager.created_at),
        contacted_at: manager.contacted_at,
        status: Some(status(rows::RunnerStatus::of(manager.created_at, manager.contacted_at, ctx.now()))),
        job_execution_status: None,
    }
}
