//! Whom a job is reported to: a server, or a folder and a terminal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio::io::AsyncWriteExt;
use weir_api::Secret;
use weir_api::id::JobId;
use weir_api::runner::{ArtifactsUpload, Dependency, JobPayload, JobRequest, JobUpdate};
use weir_api::status::ArtifactFileType;
use weir_client::Client;
use weir_client::runner::{Reaction, RunnerApi, RunnerJob, TraceOutcome, UpdateOutcome};

use crate::config::Config;

/// What a job needs to be recognised.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The job.
    pub id: JobId,
    /// Its token.
    pub token: Secret,
}

/// Whom jobs are reported to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Server {
    /// A server that speaks the runner protocol.
    Remote(Remote),
    /// Nobody: a run without a server.
    Local(Local),
}

/// A server that speaks the runner protocol.
#[derive(Debug, Clone)]
pub struct Remote(RunnerApi);

/// Gets a job's trace piece by piece.
pub type Output = dyn Fn(JobId, &[u8]) + Send + Sync;

/// Takes what jobs would send to a server: traces go to a function, artifacts into a folder.
pub struct Local {
    /// Gets traces as they grow.
    pub output: Arc<Output>,
    /// Where artifacts lie: `<job>/<type>/<file name>`, the archive as `<job>/archive.zip`.
    pub artifacts: PathBuf,
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("artifacts", &self.artifacts).finish_non_exhaustive()
    }
}

/// What became of a request for a job.
#[derive(Debug)]
pub(crate) enum Asked {
    Job(Box<JobPayload>),
    Nothing,
    /// The runner is not wanted, or asks wrongly.
    Refused(weir_client::Error),
    /// Another try may go better.
    Failed(weir_client::Error),
}

/// What became of an upload.
#[derive(Debug)]
pub(crate) enum Upload {
    Done,
    /// Trying again is of no use.
    Refused(String),
    Failed(String),
}

/// What became of a download.
#[derive(Debug)]
pub(crate) enum Download {
    Done,
    NotFound,
    Forbidden,
    Failed(String),
}

impl Remote {
    /// A connection to the server that `config` names. Nothing is sent yet.
    pub fn new(config: &Config) -> weir_client::Result<Self> {
        // Who sends a trace or a result must know of each failure, so nothing is repeated below.
        let client = Client::builder(&config.url)
            .retries(0)
            .user_agent(format!("weir {} ({})", config.version, std::env::consts::OS))
            .build()?;
        Ok(Self(RunnerApi::new(client)))
    }

    /// Asks for a job; `last_update` is what the server wants to hear again.
    pub(crate) async fn request_job(&self, config: &Config, last_update: &mut Option<String>) -> Asked {
        let request = JobRequest {
            info: config.info(),
            token: config.token.clone(),
            system_id: Some(config.system_id.clone()),
            last_update: last_update.clone(),
            session: None,
        };
        match self.0.request_job(&request).await {
            Ok(answer) => {
                *last_update = answer.last_update.or_else(|| last_update.take());
                answer.job.map_or(Asked::Nothing, |job| Asked::Job(Box::new(job)))
            }
            Err(error) => {
                let is_refusal = error.status().is_some_and(|status| status.is_client_error());
                if is_refusal && !error.is_transient() { Asked::Refused(error) } else { Asked::Failed(error) }
            }
        }
    }

    fn job(&self, job: &Credentials) -> RunnerJob {
        self.0.job(job.id, job.token.clone())
    }

    async fn upload(
        &self,
        job: &Credentials,
        file: &Path,
        filename: &str,
        query: &ArtifactsUpload,
    ) -> Upload {
        let content = match tokio::fs::File::open(file).await {
            Ok(content) => content,
            Err(error) => return Upload::Refused(error.to_string()),
        };
        match self.job(job).upload_artifacts(query, filename, content).await {
            Ok(()) => Upload::Done,
            Err(error) => {
                let problem = problem(&error);
                // Source: `shouldRetry` of gitlab-runner's artifacts uploader.
                match error.status().map(|status| status.as_u16()) {
                    Some(403 | 413) => Upload::Refused(problem),
                    _ => Upload::Failed(problem),
                }
            }
        }
    }

    async fn download(&self, job: &Credentials, dependency: &Dependency, file: &Path) -> Download {
        let written = async {
            let mut chunks = self
                .job(job)
                .download_artifacts(dependency.id, &dependency.token, false)
                .await
                .map_err(Failure::Call)?;
            let mut file = tokio::fs::File::create(file).await.map_err(Failure::File)?;
            while let Some(chunk) = chunks.try_next().await.map_err(Failure::Call)? {
                file.write_all(&chunk).await.map_err(Failure::File)?;
            }
            file.flush().await.map_err(Failure::File)
        };
        match written.await {
            Ok(()) => Download::Done,
            Err(Failure::File(error)) => Download::Failed(error.to_string()),
            Err(Failure::Call(error)) => match error.status().map(|status| status.as_u16()) {
                Some(404) => Download::NotFound,
                Some(401 | 403) => Download::Forbidden,
                _ => Download::Failed(problem(&error)),
            },
        }
    }
}

enum Failure {
    Call(weir_client::Error),
    File(std::io::Error),
}

/// The error in the words for a trace: the status and what the server says.
fn problem(error: &weir_client::Error) -> String {
    match error {
        weir_client::Error::Refused { status, message, .. } => format!("{status} ({message})"),
        other => other.to_string(),
    }
}

impl Server {
    pub(crate) async fn patch_trace(
        &self,
        job: &Credentials,
        offset: u64,
        piece: Bytes,
        debug_trace: bool,
    ) -> weir_client::Result<Reaction<TraceOutcome>> {
        match self {
            Self::Remote(remote) => remote.job(job).patch_trace(offset, piece, debug_trace).await,
            Self::Local(local) => {
                (local.output)(job.id, &piece);
                Ok(Reaction {
                    outcome: TraceOutcome::Accepted { stored: None },
                    job_status: None,
                    interval: None,
                })
            }
        }
    }

    pub(crate) async fn update(
        &self,
        job: &Credentials,
        update: &JobUpdate,
    ) -> weir_client::Result<Reaction<UpdateOutcome>> {
        match self {
            Self::Remote(remote) => remote.job(job).update(update).await,
            Self::Local(_) => {
                Ok(Reaction { outcome: UpdateOutcome::Accepted, job_status: None, interval: None })
            }
        }
    }

    pub(crate) async fn upload(
        &self,
        job: &Credentials,
        file: &Path,
        filename: &str,
        query: &ArtifactsUpload,
    ) -> Upload {
        match self {
            Self::Remote(remote) => remote.upload(job, file, filename, query).await,
            Self::Local(local) => match local.store(job.id, file, filename, query).await {
                Ok(()) => Upload::Done,
                Err(error) => Upload::Refused(error.to_string()),
            },
        }
    }

    pub(crate) async fn download(&self, job: &Credentials, dependency: &Dependency, file: &Path) -> Download {
        match self {
            Self::Remote(remote) => remote.download(job, dependency, file).await,
            Self::Local(local) => match tokio::fs::copy(local.archive(dependency.id), file).await {
                Ok(_) => Download::Done,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Download::NotFound,
                Err(error) => Download::Failed(error.to_string()),
            },
        }
    }
}

impl Local {
    /// Where the archive of a job's artifacts lies, if it has one.
    pub fn archive(&self, job: JobId) -> PathBuf {
        self.artifacts.join(job.to_string()).join("archive.zip")
    }

    async fn store(
        &self,
        job: JobId,
        file: &Path,
        filename: &str,
        query: &ArtifactsUpload,
    ) -> std::io::Result<()> {
        let target = if query.artifact_type == ArtifactFileType::Archive {
            self.archive(job)
        } else {
            self.artifacts.join(job.to_string()).join(query.artifact_type.to_string()).join(filename)
        };
        tokio::fs::create_dir_all(target.parent().unwrap_or(&target)).await?;
        tokio::fs::copy(file, target).await?;
        Ok(())
    }
}
