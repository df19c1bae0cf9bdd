//! The stages of a pipeline with their jobs: its picture.

use weir_api::JobStatus;
use weir_api::id::{JobId, PipelineId};
use weir_compiler::plan::Scheduling;
use weir_store::jobs::{self, Job};
use weir_store::pipelines::{self as rows, Pipeline, Stage};
use weir_store::projects::Project;
use weir_store::{Page, Sort, job_messages};

use super::pipelines;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// A job or bridge in the picture of its pipeline.
#[derive(Debug, Clone)]
pub struct StageJob {
    /// The newest attempt.
    pub job: Job,
    /// The jobs that `needs` names; none if it waits for its stage.
    pub needs: Option<Vec<String>>,
    /// The child pipeline that it started.
    pub child: Option<Pipeline>,
    /// What is to be said beside its failure reason.
    pub messages: Vec<String>,
}

/// The stages of a pipeline with their jobs, in the order of the file.
pub async fn of_pipeline(
    ctx: &Ctx,
    project: &Project,
    id: PipelineId,
) -> Result<Vec<(Stage, Vec<StageJob>)>> {
    let project = project.id;
    let (stages, found, definitions, downstream, mut messages) = ctx
        .db
        .read(move |tx| {
            pipelines::row(tx, project, id)?;
            let filter = jobs::Filter {
                pipeline_id: Some(id),
                latest_only: true,
                sort: Sort::Asc,
                ..jobs::Filter::default()
            };
            let found = jobs::list(tx, &filter, Page::first(i64::MAX))?;
            let definitions = jobs::definitions(tx, id)?;
            let failed = found.iter().filter(|it| it.bridge && it.status == JobStatus::Failed);
            let failed: Vec<JobId> = failed.map(|it| it.id).collect();
            let messages = job_messages::of_jobs(tx, &failed)?;
            Ok::<_, Error>((rows::stages(tx, id)?, found, definitions, rows::downstream(tx, id)?, messages))
        })
        .await?;
    let mut columns: Vec<(Stage, Vec<StageJob>)> = stages.into_iter().map(|it| (it, Vec::new())).collect();
    for job in found {
        let needs = definitions.get(&job.definition).and_then(|definition| match &definition.scheduling {
            Scheduling::Stage => None,
            Scheduling::Needs(needs) => Some(needs.iter().map(|need| need.job.clone()).collect()),
        });
        let started = |it: &&Pipeline| it.upstream.is_some_and(|up| up.child && up.job_id == job.id);
        let child = downstream.iter().find(started).cloned();
        if let Some((_, jobs)) = columns.iter_mut().find(|(stage, _)| stage.position == job.stage) {
            let messages = messages.remove(&job.id).unwrap_or_default();
            jobs.push(StageJob { job, needs, child, messages });
        }
    }
    Ok(columns)
}
