//! Pipelines.

use weir_api::Word;
use weir_api::detailed_status::{DetailedStatus, StatusOf, StatusWords};
use weir_api::pipelines::{Pipeline, PipelineBasic, PipelineBasicWithMetadata};
use weir_store::pipelines as rows;
use weir_store::projects::Project;

use super::users;
use crate::app::pipelines::PipelineDetails;
use crate::ctx::Ctx;

/// The short form.
pub fn basic(ctx: &Ctx, project: &Project, pipeline: &rows::Pipeline) -> PipelineBasic {
    PipelineBasic {
        id: pipeline.id,
        iid: Some(pipeline.iid),
        project_id: Some(pipeline.project_id),
        sha: pipeline.sha.clone(),
        ref_name: pipeline.ref_name.clone(),
        status: Word::Known(pipeline.status),
        source: Some(Word::Known(pipeline.source)),
        created_at: Some(pipeline.created_at),
        updated_at: Some(pipeline.updated_at),
        web_url: ctx.url(&path(project, pipeline)),
    }
}

fn path(project: &Project, pipeline: &rows::Pipeline) -> String {
    format!("/{}/-/pipelines/{}", project.full_path, pipeline.id)
}

/// The form in lists.
pub fn listed(ctx: &Ctx, project: &Project, pipeline: &rows::Pipeline) -> PipelineBasicWithMetadata {
    PipelineBasicWithMetadata {
        basic: basic(ctx, project, pipeline),
        name: pipeline.name.clone(),
        extra: weir_api::Extra::default(),
    }
}

/// The whole.
pub fn full(ctx: &Ctx, project: &Project, details: &PipelineDetails) -> Pipeline {
    const ZEROS: &str = "0000000000000000000000000000000000000000";
    let pipeline = &details.pipeline;
    let words = StatusWords::of(pipeline.status, StatusOf::Pipeline, details.warnings);
    Pipeline {
        basic: basic(ctx, project, pipeline),
        before_sha: Some(pipeline.before_sha.clone().unwrap_or_else(|| ZEROS.to_owned())),
        tag: pipeline.tag,
        yaml_errors: pipeline.yaml_errors.clone(),
        user: details.user.as_ref().map(|user| users::basic(ctx, user)),
        started_at: pipeline.started_at,
        finished_at: pipeline.finished_at,
        committed_at: None,
        duration: pipeline.duration.map(whole_seconds),
        queued_duration: pipeline
            .started_at
            .map(|started| whole_seconds(started.secs_since(pipeline.created_at))),
        coverage: details.coverage.map(|percent| format!("{percent:.2}")),
        detailed_status: Some(DetailedStatus::new(words, Some(path(project, pipeline)))),
        archived: Some(false),
        name: pipeline.name.clone(),
        extra: weir_api::Extra::default(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "no pipeline lasts longer than 2^53 seconds")]
fn whole_seconds(seconds: f64) -> i64 {
    seconds.max(0.0) as i64
}
