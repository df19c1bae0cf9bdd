//! Files and directories of a repository. Source: `app/services/files/`.

use aws_lc_rs::digest;
use futures_util::StreamExt as _;
use weir_api::commits::CommitActionKind;
use weir_git::{ByteStream, Error as GitError, FileInfo, InvalidName, ObjectId, RepoPath, TreeEntry, What};
use weir_store::projects::Project;
use weir_store::users::User;

use super::access::Access;
use super::commits::{self, NewCommit};
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// The largest file that is answered with its content inside an entity, in bytes; larger ones are read raw.
const MAX_CONTENT: u64 = 100 << 20;

/// A file of a commit.
#[derive(Debug, Clone)]
pub struct FileDetails {
    /// Its path.
    pub path: RepoPath,
    /// The ref that was asked for.
    pub git_ref: String,
    /// Name, size and mode of its content.
    pub info: FileInfo,
    /// The commit of the ref.
    pub commit: ObjectId,
    /// The last commit that changed it.
    pub last_commit: ObjectId,
    /// The SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
}

/// One file of a branch, tag or commit.
pub async fn find(ctx: &Ctx, project: &Project, git_ref: &str, path: &str) -> Result<FileDetails> {
    let repository = commits::repository(ctx, project);
    let resolved = match repository.resolve(git_ref).await {
        Err(GitError::NoRepository) => None,
        other => other?,
    };
    let commit = resolved.ok_or(Error::NotFound("Commit"))?.commit;
    let path = RepoPath::new(path).map_err(|_| Error::NotFound("File"))?;
    let info = repository.file(&commit, &path).await?.ok_or(Error::NotFound("File"))?;
    let last_commit =
        repository.last_commit_for_path(&commit, &path).await?.unwrap_or_else(|| commit.clone());
    let sha256 = hash(repository.blob_stream(&info.blob).await?.1).await?;
    Ok(FileDetails { path, git_ref: git_ref.to_owned(), info, commit, last_commit, sha256 })
}

async fn hash(mut content: ByteStream) -> Result<String> {
    use std::fmt::Write as _;
    let mut hash = digest::Context::new(&digest::SHA256);
    while let Some(piece) = content.next().await {
        hash.update(&piece.map_err(GitError::from)?);
    }
    let mut text = String::with_capacity(64);
    for byte in hash.finish().as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// The content of a file, as a stream.
pub async fn stream(ctx: &Ctx, project: &Project, file: &FileDetails) -> Result<ByteStream> {
    Ok(commits::repository(ctx, project).blob_stream(&file.info.blob).await?.1)
}

/// The content of a file.
///
/// # Errors
/// 413 if it is very large.
pub async fn content(ctx: &Ctx, project: &Project, file: &FileDetails) -> Result<Vec<u8>> {
    let repository = commits::repository(ctx, project);
    let content = repository.file_content(&file.commit, &file.path, MAX_CONTENT).await?;
    content.ok_or(Error::NotFound("File"))
}

/// Creates, updates or deletes one file by a commit.
///
/// # Errors
/// 400 in GitLab's words.
pub async fn change(ctx: &Ctx, access: &Access, user: &User, mut new: NewCommit) -> Result<()> {
    for change in &mut new.changes {
        // One file's words differ from those for many.
        let Some(known) = change.last_commit_id.take().filter(|id| !id.is_empty()) else { continue };
        let branch = new.start_branch.as_ref().unwrap_or(&new.branch);
        let path = RepoPath::new(change.path.as_str())?;
        let repository = commits::repository(ctx, &access.project);
        let Ok(Some(resolved)) = repository.resolve(&format!("refs/heads/{branch}")).await else { continue };
        let last = repository.last_commit_for_path(&resolved.commit, &path).await?;
        if last.is_some_and(|last| last.as_str() != known) {
            return Err(Error::Invalid(
                if change.kind == CommitActionKind::Delete {
                    "You are attempting to delete a file that has been previously updated."
                } else {
                    "You are attempting to update a file that has changed since you started editing it."
                }
                .into(),
            ));
        }
    }
    commits::create(ctx, access, user, new).await?;
    Ok(())
}

/// Checks a path as GitLab does where it names one file.
///
/// # Errors
/// 400 if it leaves the repository.
pub fn demand_inside(path: &str, leading_slash: bool) -> Result<()> {
    let leaves = matches!(RepoPath::new(path), Err(InvalidName::PathTraversal(_)));
    if leaves || (path.starts_with('/') && !leading_slash) {
        return Err(Error::parameter("file_path should be a valid file path"));
    }
    Ok(())
}

/// The entries of a directory, or of everything below it.
pub async fn tree(
    ctx: &Ctx,
    project: &Project,
    git_ref: Option<&str>,
    path: Option<&str>,
    recursive: bool,
) -> Result<Vec<TreeEntry>> {
    let repository = commits::repository(ctx, project);
    let git_ref = git_ref.or(project.default_branch.as_deref()).unwrap_or("HEAD");
    let resolved = match repository.resolve(git_ref).await {
        Err(GitError::NoRepository) => None,
        other => other?,
    };
    let commit = resolved.ok_or(Error::NotFound("Tree"))?.commit;
    let missing = || Error::NotFound("invalid revision or path");
    let path = path.map(RepoPath::new).transpose().map_err(|_| missing())?;
    repository.tree(&commit, path.as_ref(), recursive).await.map_err(|error| match error {
        GitError::NotFound(What::Tree) => missing(),
        other => other.into(),
    })
}

/// Drops the entries up to and with the one that a page token names.
///
/// # Errors
/// 422 if there is none of this name.
pub fn after(entries: &mut Vec<TreeEntry>, token: Option<&str>) -> Result<()> {
    let Some(token) = token else { return Ok(()) };
    let position = entries.iter().position(|entry| entry.path == token);
    let position = position.ok_or_else(|| Error::Unprocessable(format!("Invalid page token: {token}")))?;
    entries.drain(..=position);
    Ok(())
}
