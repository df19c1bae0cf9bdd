//! Artifacts: runners upload them, people and later jobs download them, whole or file by file.

use std::io::Read as _;

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt as _, TryStreamExt as _};
use weir_api::id::{JobId, PipelineId};
use weir_api::status::{Accessibility, ArtifactFileType, ArtifactFormat};
use weir_api::{JobStatus, Secret};
use weir_compiler::Answer;
use weir_compiler::plan::{self, ArtifactAccess};
use weir_store::artifacts::{self, Artifact, Inserted, NewArtifact};
use weir_store::jobs::{self, Job};
use weir_store::projects::{self, Project};
use weir_store::secrets::TokenDigest;
use weir_store::{Tx, object_deletions, secrets, users};

use super::access::{self, Access};
use super::{job_updates, jobs as job_rows, payloads};
use crate::auth::Action;
use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// Seconds until artifacts expire, unless the job says otherwise: 30 days.
/// Source: `doc/administration/settings/continuous_integration.md`.
const DEFAULT_EXPIRY: i64 = 30 * 24 * 3600;
/// An upload that is not finished after so many seconds is given up, and what it stored goes.
const UPLOAD_LEASE: i64 = 24 * 3600;
/// The largest central directory of an archive that is searched for one file.
const MAX_ENTRIES: usize = 1_000_000;
/// Bytes of one file out of an archive that are unpacked at once.
const PIECE: usize = 128 << 10;
/// Pieces unpacked ahead of the client.
const PIECES_AHEAD: usize = 4;

/// A file to send.
pub struct Download {
    /// What to call it.
    pub filename: String,
    /// Bytes.
    pub size: u64,
    /// The bytes.
    pub body: BoxStream<'static, std::io::Result<Bytes>>,
}

/// What a runner says of a file that it uploads.
#[derive(Debug, Clone)]
pub struct Upload {
    /// What it is.
    pub file_type: ArtifactFileType,
    /// How it is packed.
    pub file_format: ArtifactFormat,
    /// Its name.
    pub filename: String,
    /// How long it is kept, as written in the job.
    pub expire_in: Option<String>,
}

/// Finds the job of an upload, before its body is read.
pub async fn uploader(ctx: &Ctx, id: JobId, token: &Secret) -> Result<Job> {
    let digest = TokenDigest::of(token.expose());
    let job = ctx.db.read(move |tx| job_updates::authenticate(tx, id, &digest)).await?;
    if matches!(job.status, JobStatus::Running | JobStatus::Canceling) {
        Ok(job)
    } else {
        Err(Error::forbidden("Job is not processing on runner"))
    }
}

/// Stores a file of a job; answered when it is durable.
///
/// # Errors
/// 400 if the job has another file of the type, 413 if it is too large.
pub async fn upload<S, E>(ctx: &Ctx, job: &Job, upload: Upload, body: S) -> Result<()>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
    E: std::error::Error + Send + Sync + 'static,
{
    let now = ctx.now();
    let key = format!("artifacts/{}/{}/{}", job.project_id, job.id, secrets::random_text()?);
    let definition = job.clone();
    let reserved = key.clone();
    let definition = ctx
        .db
        .write(move |tx| {
            // Until a row names the object, this lets it go should we die meanwhile.
            object_deletions::reserve(tx, &reserved, now.plus_secs(UPLOAD_LEASE))?;
            jobs::definition(tx, &definition)
        })
        .await?;
    let stored = ctx.objects.put_stream(&key, body, ctx.config.max_artifact_size).await.map_err(too_large)?;
    let access = match &definition.action {
        plan::Action::Run(run) => run.artifacts.as_ref().map(|it| it.access),
        plan::Action::Trigger(_) => None,
    };
    let expire_in = upload.expire_in.as_deref().filter(|text| !text.trim().is_empty());
    let seconds = match expire_in {
        None => Some(DEFAULT_EXPIRY),
        Some(text) if text.trim().eq_ignore_ascii_case("never") => None,
        Some(text) => Some(
            weir_compiler::duration::parse(text)
                .and_then(|seconds| i64::try_from(seconds).ok())
                .ok_or_else(|| Error::BadRequest(format!("expire_in `{text}` is no duration")))?,
        ),
    };
    let new = NewArtifact {
        job_id: job.id,
        project_id: job.project_id,
        file_type: upload.file_type,
        file_format: upload.file_format,
        filename: upload.filename,
        size: stored.size,
        sha256: weir_store::digest::hex(&stored.sha256),
        object_key: key,
        accessibility: accessibility(access.unwrap_or_default()),
        expire_at: seconds.map(|seconds| now.plus_secs(seconds)),
    };
    let inserted = ctx
        .db
        .write(move |tx| {
            let inserted = artifacts::insert(tx, &new, now)?;
            if matches!(inserted, Inserted::New(_)) {
                object_deletions::keep(tx, &new.object_key)?;
            }
            Ok::<_, weir_store::Error>(inserted)
        })
        .await?;
    ctx.bus.wake(Wake::Job(job.id));
    match inserted {
        Inserted::New(_) | Inserted::Same(_) => Ok(()),
        Inserted::Other(_) => Err(Error::Invalid("another artifact of the same type already exists".into())),
    }
}

/// What the API distinguishes of what the file says.
fn accessibility(access: ArtifactAccess) -> Accessibility {
    match access {
        ArtifactAccess::All => Accessibility::Public,
        ArtifactAccess::Developer | ArtifactAccess::Maintainer => Accessibility::Private,
        ArtifactAccess::None => Accessibility::None,
    }
}

fn too_large(error: weir_store::Error) -> Error {
    match error {
        weir_store::Error::TooLarge { .. } => {
            Error::TooLarge(Some("413 file size has reached maximum size limit"))
        }
        other => other.into(),
    }
}

/// The archive that a running job wants of an earlier one.
pub async fn dependency(ctx: &Ctx, id: JobId, token: &Secret) -> Result<Download> {
    let (digest, now) = (TokenDigest::of(token.expose()), ctx.now());
    let archive = ctx
        .db
        .read(move |tx| {
            let caller = jobs::find_by_token(tx, &digest)?
                .filter(|job| matches!(job.status, JobStatus::Running | JobStatus::Canceling))
                .ok_or(Error::Forbidden(None))?;
            let wanted = jobs::find(tx, id)?.ok_or(Error::Forbidden(None))?;
            let archive = artifacts::find(tx, id, ArtifactFileType::Archive)?;
            if wanted.project_id != caller.project_id {
                // `needs:project`: what the job's user may have, the job may have.
                let user = caller.user_id.map(|id| users::find(tx, id)).transpose()?.flatten();
                let project = projects::find(tx, wanted.project_id)?.ok_or(Error::Forbidden(None))?;
                let standing = access::standing(tx, user.as_ref(), &project, now)?;
                if !archive.as_ref().is_some_and(|it| payloads::may_have(standing, it)) {
                    return Err(Error::Forbidden(None));
                }
            }
            archive.ok_or(Error::NotFound(""))
        })
        .await?;
    whole(ctx, archive).await
}

/// The archive of a job of the project, if the caller may have it and it has not expired.
async fn find_archive(ctx: &Ctx, access: &Access, id: JobId) -> Result<Artifact> {
    let (project, now) = (access.project.id, ctx.now());
    let found = ctx
        .db
        .read(move |tx: &mut Tx<'_>| {
            job_rows::row(tx, project, id)?;
            Ok::<_, Error>(artifacts::find(tx, id, ArtifactFileType::Archive)?)
        })
        .await?;
    let archive = found.ok_or(Error::NotFound(""))?;
    if archive.expire_at.is_some_and(|expiry| expiry <= now) && !archive.locked {
        return Err(Error::NotFound(""));
    }
    match archive.accessibility {
        Accessibility::Public => {}
        Accessibility::Private => access.standing.demand(Action::ReadPrivateArtifacts)?,
        Accessibility::None => return Err(Error::Forbidden(None)),
    }
    Ok(archive)
}

/// A job's archive.
pub async fn archive(ctx: &Ctx, access: &Access, id: JobId) -> Result<Download> {
    whole(ctx, find_archive(ctx, access, id).await?).await
}

async fn whole(ctx: &Ctx, artifact: Artifact) -> Result<Download> {
    let object = ctx.objects.get_stream(&artifact.object_key, None).await?;
    let body = object.body.map(|piece| piece.map_err(std::io::Error::other)).boxed();
    Ok(Download { filename: artifact.filename, size: artifact.size, body })
}

/// One file out of a job's archive. Only the archive's directory and the file itself are read.
///
/// # Errors
/// 400 for a path that leads out of the archive or names a folder, 404 for one that is not there.
pub async fn file(ctx: &Ctx, access: &Access, id: JobId, path: &str) -> Result<Download> {
    let path = safe_path(path)?;
    let archive = find_archive(ctx, access, id).await?;
    unpacked(ctx, &archive, path).await
}

/// One file out of an archive.
async fn unpacked(ctx: &Ctx, archive: &Artifact, path: String) -> Result<Download> {
    let reader = ctx.objects.reader(&archive.object_key).await?;
    let (opened, size) = tokio::sync::oneshot::channel();
    let (pieces, body) = tokio::sync::mpsc::channel(PIECES_AHEAD);
    let wanted = path.clone();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = unpack(reader, &wanted, opened, &pieces) {
            // The receiver may be gone: the client hung up.
            let _ = pieces.blocking_send(Err(error));
        }
    });
    let size = size.await.map_err(|_| Error::internal("the archive could not be read"))??;
    let filename = path.rsplit('/').next().unwrap_or_default().to_owned();
    Ok(Download { filename, size, body: tokio_stream(body).boxed() })
}

/// A file out of the artifacts of a pipeline's newest job of a name, for the configuration of a child pipeline.
/// Source: `lib/gitlab/ci/artifact_file_reader.rb`.
pub async fn file_of_parent(ctx: &Ctx, parent: PipelineId, name: &str, path: &str) -> Result<Answer> {
    /// The largest archive that is opened for it, and the largest file. Source: `max_artifacts_content_include_size`.
    const MAX_SIZE: u64 = 5 << 20;
    let (job, now) = (name.to_owned(), ctx.now());
    let archive = ctx
        .db
        .read(move |tx| {
            let found = jobs::named(tx, parent, &[job])?.into_iter().next();
            let archive =
                found.map(|it| artifacts::find(tx, it.id, ArtifactFileType::Archive)).transpose()?;
            Ok::<_, Error>(archive.flatten())
        })
        .await?;
    let archive = archive.filter(|it| it.locked || it.expire_at.is_none_or(|expiry| expiry > now));
    let refused = |why: String| Ok(Answer::FileError(why));
    let Some(archive) = archive else {
        return refused(format!("Job `{name}` not found in parent pipeline or does not have artifacts!"));
    };
    let too_large = || format!("Artifacts archive for job `{name}` is too large: max 5 MiB");
    if archive.size > MAX_SIZE {
        return refused(too_large());
    }
    let Ok(safe) = safe_path(path) else {
        return refused(format!("Path `{path}` does not exist inside the `{name}` artifacts archive!"));
    };
    match unpacked(ctx, &archive, safe).await {
        Ok(file) if file.size > MAX_SIZE => refused(too_large()),
        Ok(file) => {
            let pieces: Vec<Bytes> =
                file.body.try_collect().await.map_err(|error| Error::Internal(error.into()))?;
            Ok(Answer::File(Some(String::from_utf8_lossy(&pieces.concat()).into_owned())))
        }
        Err(Error::NotFound(_)) => {
            refused(format!("Path `{path}` does not exist inside the `{name}` artifacts archive!"))
        }
        Err(Error::BadRequest(_)) => {
            refused(format!("Path `{path}` was expected to be a file but it was a directory!"))
        }
        Err(error) => Err(error),
    }
}

fn tokio_stream(
    receiver: tokio::sync::mpsc::Receiver<std::io::Result<Bytes>>,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    })
}

/// Finds `path` in the archive, tells its size, then sends it piece by piece.
fn unpack(
    reader: weir_store::objects::ObjectReader,
    path: &str,
    opened: tokio::sync::oneshot::Sender<Result<u64>>,
    pieces: &tokio::sync::mpsc::Sender<std::io::Result<Bytes>>,
) -> std::io::Result<()> {
    let damaged =
        |error: zip::result::ZipError| Error::internal(format!("a stored archive is damaged: {error}"));
    let mut archive = match zip::ZipArchive::new(std::io::BufReader::new(reader)) {
        Ok(archive) if archive.len() > MAX_ENTRIES => {
            let _ = opened.send(Err(Error::NotFound("")));
            return Ok(());
        }
        Ok(archive) => archive,
        Err(error) => {
            let _ = opened.send(Err(damaged(error)));
            return Ok(());
        }
    };
    let folder = format!("{path}/");
    if archive.index_for_name(&folder).is_some() {
        let _ = opened.send(Err(Error::BadRequest(String::new())));
        return Ok(());
    }
    let mut file = match archive.by_name(path) {
        Ok(file) => file,
        Err(zip::result::ZipError::FileNotFound) => {
            let _ = opened.send(Err(Error::NotFound("")));
            return Ok(());
        }
        Err(error) => {
            let _ = opened.send(Err(damaged(error)));
            return Ok(());
        }
    };
    let size = file.size();
    if opened.send(Ok(size)).is_err() {
        return Ok(());
    }
    let mut left = size;
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let mut piece = vec![0; want];
        let got = file.read(&mut piece)?;
        if got == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        piece.truncate(got);
        left -= got as u64;
        if pieces.blocking_send(Ok(Bytes::from(piece))).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// A path inside an archive: relative, without `.` and `..`.
fn safe_path(path: &str) -> Result<String> {
    let refused = || Error::BadRequest(String::new());
    let path = path.trim_start_matches("./");
    let parts: Vec<&str> = path.split('/').collect();
    let good = |part: &&str| !part.is_empty() && *part != "." && *part != "..";
    if path.contains(['\0', '\\']) || !parts.iter().all(good) {
        return Err(refused());
    }
    Ok(parts.join("/"))
}

/// The job of a name in the newest successful pipeline of a ref, if it has an archive.
pub async fn latest_job(ctx: &Ctx, access: &Access, git_ref: &str, job: &str) -> Result<JobId> {
    let git_ref = match git_ref {
        "HEAD" => access.project.default_branch.clone().unwrap_or_default(),
        other => {
            let short = other.strip_prefix("refs/heads/").or_else(|| other.strip_prefix("refs/tags/"));
            short.unwrap_or(other).to_owned()
        }
    };
    let (project, name) = (access.project.id, job.to_owned());
    let found =
        ctx.db.read(move |tx| artifacts::latest_successful_archive(tx, project, &git_ref, &name)).await?;
    Ok(found.ok_or(Error::RecordNotFound)?.job_id)
}

/// Keeps a job's artifacts for ever.
pub async fn keep(ctx: &Ctx, access: &Access, id: JobId) -> Result<()> {
    let project = access.project.id;
    ctx.db
        .write(move |tx| {
            job_rows::row(tx, project, id)?;
            if artifacts::keep(tx, id)? { Ok(()) } else { Err(Error::NotFound("")) }
        })
        .await
}

/// Deletes a job's artifacts.
pub async fn delete(ctx: &Ctx, access: &Access, id: JobId) -> Result<()> {
    let (project, now) = (access.project.id, ctx.now());
    ctx.db
        .write(move |tx| {
            job_rows::row(tx, project, id)?;
            artifacts::delete_of_job(tx, id, now)?;
            Ok::<_, Error>(())
        })
        .await?;
    ctx.bus.wake(Wake::Background);
    Ok(())
}

/// Deletes all artifacts of a project that are not locked.
pub async fn delete_all(ctx: &Ctx, project: &Project) -> Result<()> {
    /// Rows deleted in one transaction.
    const BATCH: i64 = 500;
    let (id, now) = (project.id, ctx.now());
    while ctx.db.write(move |tx| artifacts::delete_of_project(tx, id, now, BATCH)).await?
        == BATCH.unsigned_abs()
    {}
    ctx.bus.wake(Wake::Background);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_never_leads_out_of_the_archive() {
        for (path, safe) in [
            ("a.txt", Some("a.txt")),
            ("./a/b.txt", Some("a/b.txt")),
            ("../a", None),
            ("a/../b", None),
            ("/etc/passwd", None),
            ("a//b", None),
            ("a/", None),
            ("", None),
            ("a\\b", None),
            ("a\0b", None),
        ] {
            assert_eq!(safe_path(path).ok().as_deref(), safe, "{path:?}");
        }
    }
}
