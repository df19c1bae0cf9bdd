//! Pages for people: projects, pipelines, jobs and their traces, to be read.
//!
//! A page shows what the API shows to the same caller, by the same use cases and the same table of rights. Whoever
//! has not signed in is sent there wherever that may help. Pages work without scripts; `live` only saves reloading.

mod ansi;
mod assets;
mod jobs;
mod live;
mod page;
mod pipelines;
mod projects;
mod session;
mod text;
mod trace;

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use weir_api::id::{JobId, PipelineId};

use crate::app::paths;
use crate::ctx::Ctx;
use crate::error::Error;
use page::Visit;

/// Pages at fixed places.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/", get(projects::home))
        .route("/-/sign_in", get(session::form).post(session::sign_in))
        .route("/-/sign_out", post(session::sign_out))
        .route("/-/assets/{name}", get(assets::serve))
}

/// A page of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The project's full path.
    project: String,
    /// What of it.
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Project,
    Commit(String),
    Pipelines,
    Pipeline(PipelineId),
    PipelineEvents(PipelineId),
    Job(JobId),
    JobEvents(JobId),
    JobTrace(JobId),
    JobArtifacts(JobId),
}

impl Route {
    /// Reads a path; none if it is no page's.
    pub fn parse(path: &str) -> Option<Self> {
        let decoded = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
        let path = decoded.strip_prefix('/')?;
        let (project, rest) = match path.split_once("/-/") {
            Some((project, rest)) => (project, Some(rest)),
            None => (path.strip_suffix('/').unwrap_or(path), None),
        };
        let mut parts = project.split('/');
        let namespace_is_good = paths::refuse_namespace(parts.next()?, true).is_none();
        if !namespace_is_good || !project.contains('/') || !parts.all(paths::is_path) {
            return None;
        }
        let what = match rest.map(|rest| rest.split('/').collect::<Vec<_>>()).as_deref() {
            None => What::Project,
            Some(["commit", sha]) => What::Commit((*sha).to_owned()),
            Some(["pipelines"]) => What::Pipelines,
            Some(["pipelines", id]) => What::Pipeline(id.parse().ok()?),
            Some(["pipelines", id, "events"]) => What::PipelineEvents(id.parse().ok()?),
            Some(["jobs", id]) => What::Job(id.parse().ok()?),
            Some(["jobs", id, "events"]) => What::JobEvents(id.parse().ok()?),
            Some(["jobs", id, "raw"]) => What::JobTrace(id.parse().ok()?),
            Some(["jobs", id, "artifacts", "download"]) => What::JobArtifacts(id.parse().ok()?),
            Some(_) => return None,
        };
        Some(Self { project: project.to_owned(), what })
    }
}

/// Answers with a page of a project.
pub async fn serve(ctx: Ctx, route: Route, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Error::MethodNotAllowed.into_response();
    }
    let visit = match Visit::read(ctx, &request.into_parts().0).await {
        Ok(visit) => visit,
        Err(error) => return error.into_response(),
    };
    let project = route.project.as_str();
    let answer = match route.what {
        What::Project => projects::show(&visit, project).await,
        What::Pipelines => projects::show(&visit, project).await,
        What::Commit(sha) => projects::commit(&visit, project, &sha).await,
        What::Pipeline(id) => pipelines::show(&visit, project, id).await,
        What::PipelineEvents(id) => live::pipeline(&visit, project, id).await,
        What::Job(id) => jobs::show(&visit, project, id).await,
        What::JobEvents(id) => live::job(&visit, project, id).await,
        What::JobTrace(id) => jobs::raw(&visit, project, id).await,
        What::JobArtifacts(id) => jobs::artifacts(&visit, project, id).await,
    };
    answer.unwrap_or_else(|error| visit.refuse(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pages_path_is_cut_at_its_dash() {
        let project = |project: &str, what: What| Some(Route { project: project.to_owned(), what });
        for (path, wanted) in [
            ("/g/p", project("g/p", What::Project)),
            ("/g/sub/p/", project("g/sub/p", What::Project)),
            ("/g/p/-/pipelines", project("g/p", What::Pipelines)),
            ("/g/sub/p/-/pipelines/7", project("g/sub/p", What::Pipeline(PipelineId(7)))),
            ("/g/p/-/pipelines/7/events", project("g/p", What::PipelineEvents(PipelineId(7)))),
            ("/g/p/-/jobs/8", project("g/p", What::Job(JobId(8)))),
            ("/g/p/-/jobs/8/raw", project("g/p", What::JobTrace(JobId(8)))),
            ("/g/p/-/jobs/8/artifacts/download", project("g/p", What::JobArtifacts(JobId(8)))),
            ("/g/p/-/commit/abc", project("g/p", What::Commit("abc".to_owned()))),
            ("/g/p/-/jobs/x", None),
            ("/g/p/-/settings", None),
            ("/g", None),
            ("/api/v4/versions", None),
            ("/API/v4", None),
            ("/-/nothing", None),
            ("/g/../p", None),
            ("/g//p", None),
            ("/g/p%0a", None),
            ("/", None),
        ] {
            assert_eq!(Route::parse(path), wanted, "{path}");
        }
    }
}
