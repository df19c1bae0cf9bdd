//! A typed, asynchronous client of GitLab's CI/CD API and of its runner protocol.
//!
//! A [`Client`] knows a server and a token. From it one goes to a project, pipeline or job without a call to
//! the server; what such a handle then offers is a request that is sent when it is awaited. A list is one
//! [`Page`] when awaited, and every record when taken as a `stream()` or with `all()`.
//!
//! ```no_run
//! # async fn example() -> weir_client::Result<()> {
//! use weir_client::Client;
//!
//! let client = Client::builder("https://gitlab.example.com").private_token("glpat-…").build()?;
//! let project = client.project("group/name");
//! # Ok(())
//! # }
//! ```
//!
//! # Ten common tasks
//!
//! Start a pipeline and wait for it:
//! ```no_run
//! # async fn example(project: weir_client::ProjectHandle) -> weir_client::Result<()> {
//! use std::time::Duration;
//!
//! let pipeline = project.create_pipeline("main").variable("DEPLOY_ENV", "staging").send().await?;
//! let ended = project.pipeline(pipeline.id).wait(Duration::from_mins(30)).await?;
//! println!("{}: {}", ended.status, ended.web_url);
//! # Ok(())
//! # }
//! ```
//!
//! List failed pipelines of a branch, as many pages as there are:
//! ```no_run
//! # async fn example(project: weir_client::ProjectHandle) -> weir_client::Result<()> {
//! use futures_util::TryStreamExt;
//! use weir_client::types::JobStatus;
//!
//! let mut pipelines = project.pipelines().status(JobStatus::Failed).ref_("main").per_page(100).stream();
//! while let Some(pipeline) = pipelines.try_next().await? {
//!     println!("{} {}", pipeline.id, pipeline.sha);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Find the latest pipeline and its failed jobs:
//! ```no_run
//! # async fn example(project: weir_client::ProjectHandle) -> weir_client::Result<()> {
//! use weir_client::types::JobStatus;
//!
//! let latest = project.latest_pipeline("main").await?;
//! for job in project.pipeline(latest.id).jobs().scope(&[JobStatus::Failed]).all().await? {
//!     println!("{} failed: {:?}", job.name, job.failure_reason);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Cancel and retry:
//! ```no_run
//! # async fn example(project: weir_client::ProjectHandle) -> weir_client::Result<()> {
//! project.pipeline(9).cancel().await?;
//! let again = project.job(71).retry().await?;
//! println!("runs again as {}", again.id);
//! # Ok(())
//! # }
//! ```
//!
//! Follow a job's trace as it grows:
//! ```no_run
//! # async fn example(project: weir_client::ProjectHandle) -> weir_client::Result<()> {
//! use futures_util::TryStreamExt;
//!
//! let mut trace = project.job(71).follow_trace();
//! while let Some(chunk) = trace.try_next().await? {
//!     print!("{}", String::from_utf8_lossy(&chunk));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Play a manual job with variables:
//! ```no_run
//! # async fn example(project: weir_client::ProjectHandle) -> weir_client::Result<()> {
//! project.job(72).play().variable("VERSION", "1.2.3").send().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Download artifacts, by job or by branch and job name, without holding them in memory:
//! ```no_run
//! # async fn example(project: weir_client::ProjectHandle) -> Result<(), Box<dyn std::error::Error>> {
//! let mut file = tokio::fs::File::create("artifacts.zip").await?;
//! project.artifacts("main", "build").write_to(&mut file).await?;
//! let report = project.job(71).artifact("reports/summary.txt").bytes().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Set a variable:
//! ```no_run
//! # async fn example(project: weir_client::ProjectHandle) -> weir_client::Result<()> {
//! project.create_variable("DATABASE_URL", "postgresql://…").masked(true).protected(true).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Commit files:
//! ```no_run
//! # async fn example(project: weir_client::ProjectHandle) -> weir_client::Result<()> {
//! let yaml = "build:\n  script: make\n";
//! project.create_commit("main", "Build with make").create(".gitlab-ci.yml", yaml).send().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Tell apart what went wrong:
//! ```no_run
//! # async fn example(project: weir_client::ProjectHandle) -> weir_client::Result<()> {
//! match project.pipeline(9).get().await {
//!     Ok(pipeline) => println!("{}", pipeline.status),
//!     Err(error) if error.is_not_found() => println!("no such pipeline"),
//!     Err(error) => return Err(error),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What happens by itself
//!
//! A call that may be repeated is, after a pause, when the server is busy (429, with the pause that it asks
//! for) or in trouble, or when the connection breaks; see [`ClientBuilder::retries`]. Redirects of reads are
//! followed, and no token goes to another server.

mod action;
mod call;
mod client;
mod error;
mod groups;
mod jobs;
mod path;
mod pipelines;
mod projects;
mod repository;
pub mod runner;
mod settings;
mod stream;
mod triggers;
mod users;

pub use action::{Action, List, Page};
pub use client::{Client, ClientBuilder};
pub use error::{Attempt, Error, Result};
pub use groups::{CreateGroup, GroupHandle, ListGroups, ListMembers, SetMember, UpdateGroup};
pub use jobs::{JobHandle, ListJobs, PlayJob};
pub use path::{GroupRef, ProjectRef};
pub use pipelines::{
    CreatePipeline, ListBridges, ListPipelineJobs, ListPipelines, PipelineHandle, TriggerPipeline,
};
pub use projects::{CreateProject, ListProjects, ProjectHandle, UpdateProject};
pub use repository::{
    CreateCommit, CreateTag, GetFile, ListBranches, ListCommits, ListTags, ListTree, ProtectBranch, WriteFile,
};
pub use settings::{CreateRunner, DeleteVariable, GetVariable, Lint, ListRunners, SetVariable, UpdateRunner};
pub use stream::Download;
pub use triggers::{CreateTrigger, ListPipelineSchedules, PipelineScheduleHandle, SetPipelineSchedule};
pub use users::{
    CreatePersonalAccessToken, CreateUser, ListPersonalAccessTokens, ListUsers, RotatePersonalAccessToken,
};
pub use weir_api as types;
