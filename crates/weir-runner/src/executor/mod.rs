//! Where scripts run.

pub mod dummy;
pub mod shell;

use std::path::Path;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use weir_api::runner::{RunnerFeature, RunnerFeatures};

use crate::error::JobError;
use crate::trace::Trace;
use crate::variables::Variables;

/// Runs the scripts of one job. The runner itself fetches sources, artifacts and caches into the project folder.
///
/// A job makes its own executor: [`Executor::prepare`] once, then [`Executor::run`] for each script, then
/// [`Executor::cleanup`], whatever happened.
pub trait Executor: Send + Sync {
    /// Makes ready what all scripts need.
    fn prepare<'a>(&'a mut self, place: Place<'a>, trace: &'a Trace) -> BoxFuture<'a, Result<(), JobError>>;

    /// Runs one script to its end. Once `stop` is cancelled it ends early, with all that it started.
    fn run<'a>(
        &'a mut self,
        script: Script<'a>,
        trace: &'a Trace,
        stop: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<(), JobError>>;

    /// Ends and removes what is left of the job.
    fn cleanup(&mut self) -> BoxFuture<'_, ()>;
}

/// The folders of a job.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The work tree, where scripts start.
    pub project_dir: &'a Path,
    /// What belongs to the job and not to the project: scripts, values of file variables.
    pub temp_dir: &'a Path,
}

/// One script of a job.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a> {
    /// The stage it belongs to: `step_script`, `after_script` …
    pub stage: &'a str,
    /// Its commands in order; an entry may have several lines.
    pub commands: &'a [String],
    /// Its variables.
    pub variables: &'a Variables,
    /// Where it runs.
    pub place: Place<'a>,
}

/// Which executor a runner uses, with its settings.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ExecutorConfig {
    /// A shell on this machine.
    Shell(shell::Config),
    /// Nothing runs, for simulations.
    Dummy(dummy::Config),
}

impl ExecutorConfig {
    /// The executor's name, told to the server and shown in traces.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Shell(_) => "shell",
            Self::Dummy(_) => "dummy",
        }
    }

    /// The name of the shell that runs scripts.
    pub fn shell(&self) -> &'static str {
        match self {
            Self::Shell(config) => config.shell.program(),
            Self::Dummy(_) => "",
        }
    }

    /// What the executor can do, as the server is told. Source: `GetFeatures` of gitlab-runner's executors and shells.
    pub fn features(&self) -> RunnerFeatures {
        use RunnerFeature as F;
        [
            F::Variables,
            F::Shared,
            F::Artifacts,
            F::UploadMultipleArtifacts,
            F::UploadRawArtifacts,
            F::ArtifactsExclude,
            F::Cache,
            F::FallbackCacheKeys,
            F::Refspecs,
            F::Masking,
            F::RawVariables,
            F::MultiBuildSteps,
            F::TraceReset,
            F::TraceChecksum,
            F::TraceSize,
            F::Cancelable,
            F::CancelGracefully,
            F::ReturnExitCode,
        ]
        .into_iter()
        .collect()
    }

    /// An executor for one job.
    pub fn create(&self) -> Box<dyn Executor> {
        match self {
            Self::Shell(config) => Box::new(shell::Shell::new(config.clone())),
            Self::Dummy(config) => Box::new(dummy::Dummy::new(config.clone())),
        }
    }
}
