//! Commit statuses.

use weir_api::Word;
use weir_api::commit_statuses::CommitStatus;
use weir_store::projects::Project;

use super::users;
use crate::app::commit_statuses::StatusDetails;
use crate::ctx::Ctx;

/// A status of a commit.
pub fn full(ctx: &Ctx, project: &Project, details: &StatusDetails) -> CommitStatus {
    let (job, pipeline) = (&details.job, &details.pipeline);
    let is_build = !job.bridge && !job.external;
    let page = || ctx.url(&format!("/{}/-/jobs/{}", project.full_path, job.id));
    CommitStatus {
        id: job.id,
        sha: pipeline.sha.clone(),
        ref_name: pipeline.ref_name.clone(),
        status: Word::Known(job.status),
        name: job.name.clone(),
        target_url: job.target_url.clone().or_else(|| is_build.then(page)),
        description: job.description.clone(),
        created_at: Some(job.created_at),
        started_at: job.started_at,
        finished_at: job.finished_at,
        allow_failure: job.allow_failure,
        coverage: job.coverage,
        pipeline_id: Some(pipeline.id),
        author: details.author.as_ref().map(|user| users::basic(ctx, user)),
    }
}
