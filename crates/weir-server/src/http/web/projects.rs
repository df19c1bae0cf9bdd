//! The start page, a project with its pipelines, a commit with its pipelines.

use askama::Template;
use axum::response::Response;
use weir_store::pipelines::{Filter, Pipeline};
use weir_store::projects;

use super::page::{self, Badge, Frame, Pages, Visit};
use super::text;
use crate::app::access::Access;
use crate::app::projects::View;
use crate::app::{commits, pipelines, projects as use_cases};
use crate::auth::{Action, Standing};
use crate::error::Result;
use crate::http::paginate::Page;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    frame: Frame,
    projects: Vec<ProjectRow>,
    pages: Pages,
}

struct ProjectRow {
    path: String,
    description: Option<String>,
    visibility: String,
    /// Status and id of the newest pipeline.
    newest: Option<(Badge, i64, String)>,
}

#[derive(Template)]
#[template(path = "project.html")]
struct ProjectPage {
    frame: Frame,
    path: String,
    description: Option<String>,
    visibility: String,
    clone_url: Option<String>,
    default_branch: Option<String>,
    pipelines: Option<Vec<PipelineRow>>,
    pages: Pages,
}

#[derive(Template)]
#[template(path = "commit.html")]
struct CommitPage {
    frame: Frame,
    path: String,
    short: String,
    commit: weir_api::commits::Commit,
    age: String,
    pipelines: Option<Vec<PipelineRow>>,
    pages: Pages,
}

/// A line of a table of pipelines.
struct PipelineRow {
    id: i64,
    badge: Badge,
    /// The pipeline's name, or its commit's title.
    title: Option<String>,
    git_ref: String,
    sha: String,
    short: String,
    source: String,
    user: Option<String>,
    duration: Option<String>,
    age: String,
    created_at: String,
}

/// `GET /`
pub(super) async fn home(visit: Visit) -> Response {
    match try_home(&visit).await {
        Ok(page) => page,
        Err(error) => visit.refuse(error),
    }
}

async fn try_home(visit: &Visit) -> Result<Response> {
    let page = Page::read(&visit.params)?;
    let order =
        projects::Filter { order_by: projects::OrderBy::LastActivityAt, ..projects::Filter::default() };
    let filter = use_cases::visible(visit.user(), order);
    let (views, total) = use_cases::list(&visit.ctx, visit.user(), filter, page).await?;
    let mut projects = Vec::with_capacity(views.len());
    for view in views {
        projects.push(ProjectRow {
            newest: newest(visit, &view).await?,
            path: view.project.full_path,
            description: view.project.description.filter(|text| !text.is_empty()),
            visibility: view.project.visibility.to_string(),
        });
    }
    page::render(&Home { frame: visit.frame(), projects, pages: Pages::around(page, total) })
}

/// The newest pipeline of a project, if there is one and the visitor may see it.
async fn newest(visit: &Visit, view: &View) -> Result<Option<(Badge, i64, String)>> {
    let project = &view.project;
    let standing = Standing {
        signed_in: view.signed_in,
        level: view.level,
        visibility: project.visibility,
        public_pipelines: project.public_jobs,
    };
    if !standing.may(Action::ReadPipelines) {
        return Ok(None);
    }
    let one = Page { page: 1, per_page: 1 };
    let (rows, _) = pipelines::list(&visit.ctx, project, Filter::default(), one).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let found = pipelines::find(&visit.ctx, project, row.id).await?;
    let age = text::ago(visit.ctx.now(), row.created_at);
    Ok(Some((Badge::of(found.pipeline.status, found.warnings), row.id.0, age)))
}

/// `GET /:project`
pub(super) async fn show(visit: &Visit, path: &str) -> Result<Response> {
    let access = visit.project(path, Action::ReadProject).await?;
    let (pipelines, pages) = table(visit, &access, Filter::default()).await?;
    let project = &access.project;
    let code = access.standing.may(Action::ReadCode);
    page::render(&ProjectPage {
        frame: visit.frame(),
        path: project.full_path.clone(),
        description: project.description.clone().filter(|text| !text.is_empty()),
        visibility: project.visibility.to_string(),
        clone_url: code.then(|| visit.ctx.url(&format!("/{}.git", project.full_path))),
        default_branch: project.default_branch.clone(),
        pipelines,
        pages,
    })
}

/// `GET /:project/-/commit/:sha`
pub(super) async fn commit(visit: &Visit, path: &str, sha: &str) -> Result<Response> {
    let access = visit.project(path, Action::ReadCode).await?;
    let commit = commits::find(&visit.ctx, &access.project, sha).await?;
    let filter = Filter { sha: Some(commit.id.clone()), ..Filter::default() };
    let (pipelines, pages) = table(visit, &access, filter).await?;
    let age = commit.committed_date.as_ref().map(ToString::to_string).unwrap_or_default();
    page::render(&CommitPage {
        frame: visit.frame(),
        path: access.project.full_path.clone(),
        short: commit.short_id.clone(),
        commit: (*commit).clone(),
        age,
        pipelines,
        pages,
    })
}

/// A page of pipelines, if the visitor may see them.
async fn table(visit: &Visit, access: &Access, filter: Filter) -> Result<(Option<Vec<PipelineRow>>, Pages)> {
    let page = Page::read(&visit.params)?;
    if !access.standing.may(Action::ReadPipelines) {
        return Ok((None, Pages::around(page, 0)));
    }
    let (rows, total) = pipelines::list(&visit.ctx, &access.project, filter, page).await?;
    let now = visit.ctx.now();
    let mut table = Vec::with_capacity(rows.len());
    for row in rows {
        let details = pipelines::find(&visit.ctx, &access.project, row.id).await?;
        let pipeline = details.pipeline;
        table.push(PipelineRow {
            id: pipeline.id.0,
            badge: Badge::of(pipeline.status, details.warnings),
            title: title(visit, access, &pipeline).await,
            short: short(&pipeline.sha),
            source: text::words(pipeline.source.as_str()),
            user: details.user.map(|user| user.name),
            duration: pipeline.duration.map(text::clock_of),
            age: text::ago(now, pipeline.created_at),
            created_at: pipeline.created_at.to_string(),
            git_ref: pipeline.ref_name,
            sha: pipeline.sha,
        });
    }
    Ok((Some(table), Pages::around(page, total)))
}

/// A pipeline's name, or the title of its commit for those who see the code.
pub(super) async fn title(visit: &Visit, access: &Access, pipeline: &Pipeline) -> Option<String> {
    if pipeline.name.is_some() {
        return pipeline.name.clone();
    }
    if !access.standing.may(Action::ReadCode) {
        return None;
    }
    commits::cached(&visit.ctx, &access.project, &pipeline.sha).await.map(|commit| commit.title)
}

/// The first characters of a commit's name.
pub(super) fn short(sha: &str) -> String {
    sha.chars().take(8).collect()
}
