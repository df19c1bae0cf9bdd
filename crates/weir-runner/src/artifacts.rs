//! The stages around artifacts: downloads those of earlier jobs, uploads the job's own.
//!
//! Source: `commands/helpers/artifacts_uploader.go` and `artifacts_downloader.go` of gitlab-runner.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use weir_api::runner::{Artifact, ArtifactsUpload, Dependency};
use weir_api::status::{ArtifactFormat, When};

use crate::archive::{self, ArchiveError, Selection};
use crate::error::JobError;
use crate::executor::Place;
use crate::limits;
use crate::server::{Credentials, Download, Server, Upload};
use crate::trace::{Level, Trace};
use crate::variables::Variables;

/// What both directions need.
pub(crate) struct Transfer<'a> {
    pub(crate) server: &'a Server,
    pub(crate) credentials: &'a Credentials,
    pub(crate) variables: &'a Variables,
    pub(crate) place: Place<'a>,
    pub(crate) trace: &'a Arc<Trace>,
}

/// Whether an entry is uploaded or saved after a job that went `is_success`.
pub(crate) fn is_due(when: Option<When>, is_success: bool) -> bool {
    match when {
        Some(When::OnFailure) => !is_success,
        Some(When::Always) => true,
        Some(When::OnSuccess) | None => is_success,
    }
}

/// Whether the entry names any files.
pub(crate) fn names_files(artifact: &Artifact) -> bool {
    !artifact.paths.is_empty() || !artifact.exclude.is_empty() || artifact.untracked == Some(true)
}

impl Transfer<'_> {
    /// Downloads and extracts the archives of `dependencies` into the project.
    pub(crate) async fn download(&self, dependencies: &[&Dependency]) -> Result<(), JobError> {
        for dependency in dependencies {
            self.trace
                .notice(format_args!("Downloading artifacts for {} ({})...", dependency.name, dependency.id));
            let file = self.place.temp_dir.join(".artifacts.zip");
            self.download_file(dependency, &file).await?;
            let root = self.place.project_dir.to_path_buf();
            let extracted = blocking({
                let file = file.clone();
                move || archive::extract_zip(&file, &root)
            })
            .await;
            let _ = tokio::fs::remove_file(&file).await;
            extracted.map_err(|error| self.fatal(&error))?;
        }
        Ok(())
    }

    async fn download_file(&self, dependency: &Dependency, file: &Path) -> Result<(), JobError> {
        const WHAT: &str = "Downloading artifacts from coordinator...";
        let mut tries = 0;
        loop {
            tries += 1;
            let problem = match self.server.download(self.credentials, dependency, file).await {
                Download::Done => {
                    self.trace.report_job(Level::Info, format_args!("{WHAT} ok"), dependency.id);
                    return Ok(());
                }
                Download::NotFound => {
                    self.trace.report_job(Level::Error, format_args!("{WHAT} not found"), dependency.id);
                    return Err(self.fatal(&"file does not exist"));
                }
                Download::Forbidden => {
                    self.trace.report_job(Level::Error, format_args!("{WHAT} forbidden"), dependency.id);
                    return Err(self.fatal(&"permission denied"));
                }
                Download::Failed(problem) => problem,
            };
            self.trace.report_job(Level::Warning, format_args!("{WHAT} failed: {problem}"), dependency.id);
            if tries >= limits::DOWNLOAD_TRIES {
                return Err(self.fatal(&"invalid argument"));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Packs and uploads one entry of the job's `artifacts`.
    pub(crate) async fn upload(&self, artifact: &Artifact) -> Result<(), JobError> {
        self.trace.notice("Uploading artifacts...");
        let files = self.collect(&artifact.paths, &artifact.exclude, artifact.untracked == Some(true)).await;
        if files.is_empty() {
            self.trace.report(Level::Error, "No files to upload");
            return Ok(());
        }
        let format = artifact.artifact_format.known().unwrap_or_default();
        let filename = filename(&self.variables.expand(artifact.name.as_deref().unwrap_or_default()), format);
        let file = self.place.temp_dir.join(".upload");
        let root = self.place.project_dir.to_path_buf();
        let packed = blocking({
            let file = file.clone();
            move || match format {
                ArtifactFormat::Zip => archive::write_zip(&file, &root, &files),
                ArtifactFormat::Gzip => archive::write_gzip(&file, &root, &files),
                ArtifactFormat::Raw => archive::write_raw(&file, &root, &files),
            }
        })
        .await;
        let result = match packed {
            Ok(()) => self.upload_file(artifact, &file, &filename).await,
            Err(error) => Err(self.fatal(&error)),
        };
        let _ = tokio::fs::remove_file(&file).await;
        result
    }

    async fn upload_file(&self, artifact: &Artifact, file: &Path, filename: &str) -> Result<(), JobError> {
        let query = ArtifactsUpload {
            artifact_format: artifact.artifact_format.clone(),
            artifact_type: artifact.artifact_type.clone(),
            expire_in: artifact.expire_in.clone().filter(|text| !text.is_empty()),
            accessibility: None,
        };
        let what = format!("Uploading artifacts as \"{}\" to coordinator...", artifact.artifact_type);
        let id = self.credentials.id;
        let mut tries = 0;
        loop {
            tries += 1;
            let (problem, may_retry) =
                match self.server.upload(self.credentials, file, filename, &query).await {
                    Upload::Done => {
                        self.trace.report_job(Level::Info, format_args!("{what} 201 Created"), id);
                        return Ok(());
                    }
                    Upload::Refused(problem) => (problem, false),
                    Upload::Failed(problem) => (problem, true),
                };
            if !may_retry || tries >= limits::UPLOAD_TRIES {
                self.trace.report_job(Level::Error, format_args!("{what} {problem}"), id);
                return Err(self.fatal(&problem));
            }
            self.trace.report_job(Level::Warning, format_args!("{what} {problem}"), id);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// The files that the patterns name, for artifacts and caches alike.
    pub(crate) async fn collect(
        &self,
        paths: &[String],
        exclude: &[String],
        untracked: bool,
    ) -> std::collections::BTreeSet<String> {
        let expand =
            |texts: &[String]| texts.iter().map(|text| self.variables.expand(text)).collect::<Vec<_>>();
        let (paths, exclude) = (expand(paths), expand(exclude));
        let untracked = if untracked { Some(self.untracked_files().await) } else { None };
        let (root, trace) = (self.place.project_dir.to_path_buf(), Arc::clone(self.trace));
        let found = blocking(move || {
            let selection = Selection { paths: &paths, exclude: &exclude, untracked: untracked.as_deref() };
            Ok(archive::collect(&root, selection, &trace))
        });
        found.await.unwrap_or_default()
    }

    async fn untracked_files(&self) -> Vec<String> {
        let output = Command::new("git")
            .args(["ls-files", "-o", "-z"])
            .current_dir(self.place.project_dir)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await;
        match output {
            Ok(output) if output.status.success() => output
                .stdout
                .split(|byte| *byte == 0)
                .filter(|name| !name.is_empty())
                .filter_map(|name| String::from_utf8(name.to_vec()).ok())
                .collect(),
            Ok(output) => {
                self.trace.report(Level::Warning, format_args!("untracked: {}", output.status));
                Vec::new()
            }
            Err(error) => {
                self.trace.report(Level::Warning, format_args!("untracked: {error}"));
                Vec::new()
            }
        }
    }

    fn fatal(&self, problem: &dyn std::fmt::Display) -> JobError {
        self.trace.report(Level::Fatal, problem);
        JobError::Script(1)
    }
}

/// The name of an uploaded file. Source: `artifactFilename` of gitlab-runner.
fn filename(name: &str, format: ArtifactFormat) -> String {
    let base = PathBuf::from(name).file_name().map(|name| name.to_string_lossy().into_owned());
    let base = base.filter(|base| base != ".").unwrap_or_else(|| "artifacts".to_owned());
    match format {
        ArtifactFormat::Zip => format!("{base}.zip"),
        ArtifactFormat::Gzip => format!("{base}.gz"),
        ArtifactFormat::Raw => base,
    }
}

/// Runs work on files beside the tasks that serve others.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, ArchiveError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ArchiveError::Io(std::io::Error::other(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_after_its_format() {
        for (name, format, filename_is) in [
            ("", ArtifactFormat::Zip, "artifacts.zip"),
            ("my", ArtifactFormat::Zip, "my.zip"),
            ("a/b", ArtifactFormat::Zip, "b.zip"),
            ("junit.xml", ArtifactFormat::Gzip, "junit.xml.gz"),
            (".env", ArtifactFormat::Raw, ".env"),
            ("..", ArtifactFormat::Zip, "artifacts.zip"),
        ] {
            assert_eq!(filename(name, format), filename_is);
        }
    }

    #[test]
    fn an_entry_is_due_by_the_job_s_result() {
        for (when, after_success, after_failure) in [
            (None, true, false),
            (Some(When::OnSuccess), true, false),
            (Some(When::OnFailure), false, true),
            (Some(When::Always), true, true),
        ] {
            assert_eq!((is_due(when, true), is_due(when, false)), (after_success, after_failure), "{when:?}");
        }
    }
}
