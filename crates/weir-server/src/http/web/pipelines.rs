//! A pipeline: its stages as columns, their jobs as cards.

use askama::Template;
use axum::response::Response;
use weir_api::JobStatus;
use weir_api::id::PipelineId;
use weir_engine::status;

use super::page::{self, Badge, Frame, Visit};
use super::{projects, text};
use crate::app::access::Access;
use crate::app::{pipelines, stages};
use crate::auth::Action;
use crate::error::Result;

#[derive(Template)]
#[template(path = "pipeline.html")]
struct PipelinePage {
    frame: Frame,
    path: String,
    id: i64,
    graph: String,
    active: bool,
}

/// The part that changes while the pipeline runs.
#[derive(Template)]
#[template(path = "pipeline_live.html")]
struct Graph {
    base: String,
    path: String,
    id: i64,
    badge: Badge,
    title: Option<String>,
    git_ref: String,
    sha: String,
    short: String,
    source: String,
    user: Option<String>,
    duration: Option<String>,
    created_at: String,
    age: String,
    yaml_errors: Option<String>,
    failure_reason: Option<String>,
    stages: Vec<Column>,
    parent: Option<i64>,
}

struct Column {
    name: String,
    badge: Badge,
    jobs: Vec<Card>,
}

struct Card {
    name: String,
    badge: Badge,
    /// Its page; a bridge has none, and that of an external job is the other system's.
    href: Option<String>,
    needs: Option<String>,
    duration: Option<String>,
    child: Option<(Badge, i64)>,
    /// Why a bridge failed: it has no page to say so.
    why: Option<String>,
}

/// `GET /:project/-/pipelines/:id`
pub(super) async fn show(visit: &Visit, path: &str, id: PipelineId) -> Result<Response> {
    let access = visit.project(path, Action::ReadPipelines).await?;
    let (graph, active) = graph(visit, &access, id).await?;
    page::render(&PipelinePage {
        frame: visit.frame(),
        path: access.project.full_path,
        id: id.0,
        graph,
        active,
    })
}

/// The part that changes, and whether it still may.
pub(super) async fn graph(visit: &Visit, access: &Access, id: PipelineId) -> Result<(String, bool)> {
    let details = pipelines::find(&visit.ctx, &access.project, id).await?;
    let columns = stages::of_pipeline(&visit.ctx, &access.project, id).await?;
    let title = projects::title(visit, access, &details.pipeline).await;
    let (pipeline, now) = (details.pipeline, visit.ctx.now());
    let columns = columns.into_iter().map(|(stage, jobs)| {
        let cards: Vec<Card> = jobs
            .into_iter()
            .map(|it| {
                let job = it.job;
                let failed = job.status == JobStatus::Failed;
                let ended = job.finished_at.unwrap_or(now);
                Card {
                    badge: Badge::of(job.status, failed && job.allow_failure),
                    href: if job.external {
                        job.target_url
                    } else {
                        let page = || {
                            format!(
                                "{}/{}/-/jobs/{}",
                                page::base(&visit.ctx),
                                access.project.full_path,
                                job.id
                            )
                        };
                        (!job.bridge).then(page)
                    },
                    needs: it.needs.map(|needs| needs.join(", ")),
                    duration: job.started_at.map(|at| text::clock_of(ended.secs_since(at))),
                    child: it.child.map(|child| (Badge::of(child.status, false), child.id.0)),
                    why: job.failure_reason.filter(|_| failed && job.bridge).map(|reason| {
                        let mut why = vec![text::words(reason.as_str())];
                        why.extend(it.messages.into_iter().filter(|message| !message.is_empty()));
                        why.join(": ")
                    }),
                    name: job.name,
                }
            })
            .collect();
        let passed = stage.status == JobStatus::Success;
        let warning = passed && cards.iter().any(|card| card.badge.is_warning());
        Column { name: stage.name, badge: Badge::of(stage.status, warning), jobs: cards }
    });
    let active = !status::is_completed(pipeline.status);
    let graph = Graph {
        base: page::base(&visit.ctx),
        path: access.project.full_path.clone(),
        id: id.0,
        badge: Badge::of(pipeline.status, details.warnings),
        title,
        short: projects::short(&pipeline.sha),
        source: text::words(pipeline.source.as_str()),
        user: details.user.map(|user| user.name),
        duration: pipeline.duration.map(text::clock_of),
        created_at: pipeline.created_at.to_string(),
        age: text::ago(now, pipeline.created_at),
        yaml_errors: pipeline.yaml_errors,
        failure_reason: pipeline.failure_reason.as_deref().map(text::words),
        stages: columns.collect(),
        parent: pipeline.upstream.filter(|it| it.child).map(|it| it.pipeline_id.0),
        git_ref: pipeline.ref_name,
        sha: pipeline.sha,
    };
    Ok((page::text(&graph)?, active))
}
