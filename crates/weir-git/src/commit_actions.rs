//! Commits made by the server: files created, updated, moved, deleted and made executable in one step.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::error::{Conflict, Error, What};
use crate::files::read_tree;
use crate::limits::MAX_ACTIONS;
use crate::names::{BranchName, ObjectId, RepoPath};
use crate::objects::{Commit, EntryKind, Signature};
use crate::reader::{ObjectKind, Reader};
use crate::refs::RefUpdate;
use crate::repositories::Repository;

/// One change of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A new file.
    Create {
        /// Where.
        path: RepoPath,
        /// What it holds.
        content: Vec<u8>,
        /// Whether it may be executed.
        executable: bool,
    },
    /// New content for a file.
    Update {
        /// Which.
        path: RepoPath,
        /// What it holds from now on.
        content: Vec<u8>,
        /// The last commit of the file that the editor saw; another one is a conflict.
        last_commit_id: Option<ObjectId>,
    },
    /// A new place for a file.
    Move {
        /// Where it goes.
        path: RepoPath,
        /// Where it was.
        previous_path: RepoPath,
        /// What it holds from now on, if that changes too.
        content: Option<Vec<u8>>,
        /// As for `Update`.
        last_commit_id: Option<ObjectId>,
    },
    /// The end of a file.
    Delete {
        /// Which.
        path: RepoPath,
        /// As for `Update`.
        last_commit_id: Option<ObjectId>,
    },
    /// Whether a file may be executed.
    Chmod {
        /// Which.
        path: RepoPath,
        /// Whether it may.
        executable: bool,
    },
}

/// A commit to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommit {
    /// The branch that gets it. In an empty repository it is created.
    pub branch: BranchName,
    /// Where a new branch begins: `branch` must not exist yet unless it is the same or `force` is set.
    pub start: Option<Start>,
    /// Whether an existing `branch` may be thrown away in favour of `start`.
    pub force: bool,
    /// The message.
    pub message: String,
    /// Who wrote it.
    pub author: Signature,
    /// Who commits it.
    pub committer: Signature,
    /// What changes, in order; each action sees what those before it did.
    pub actions: Vec<Action>,
}

/// Where a new branch begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At another branch, `start_branch`.
    Branch(BranchName),
    /// At a commit, `start_sha`.
    Commit(ObjectId),
}

impl Repository {
    /// Makes a commit and moves its branch, if nobody else has moved it meanwhile. Objects and the reference are on
    /// the disk when it returns.
    ///
    /// # Errors
    /// [`Error::Conflict`] with GitLab's messages.
    pub async fn create_commit(&self, new: &NewCommit) -> Result<Commit, Error> {
        let update = self.prepare_commit(new).await?;
        self.move_ref(&update).await?;
        self.commit(&update.new).await
    }

    /// Makes a commit that nothing refers to yet; [`Repository::move_ref`] with what it returns puts it on its branch.
    ///
    /// # Errors
    /// [`Error::Conflict`] with GitLab's messages.
    pub async fn prepare_commit(&self, new: &NewCommit) -> Result<RefUpdate, Error> {
        if new.actions.len() > MAX_ACTIONS {
            return Err(Error::TooLarge { what: "number of actions", limit: MAX_ACTIONS as u64 });
        }
        let mut reader = self.reader().await?;
        let name = new.branch.to_ref();
        let old = self.read_ref(&name).await?;
        let parent = self.parent_of(new, old.as_ref()).await?;
        let mut draft = Draft { base: parent.clone(), changes: BTreeMap::new(), blobs: Vec::new() };
        for action in &new.actions {
            if let Some(base) = &parent {
                self.check_last_commit(base, action).await?;
            }
            draft.apply(&mut reader, action).await?;
        }
        let output = self
            .git("fast-import")
            .args(["--quiet", "--done", "--date-format=raw"])
            .output_with_input(&draft.to_stream(new))
            .await?;
        let id = ObjectId::new(String::from_utf8_lossy(&output).trim())?;
        Ok(RefUpdate { old: old.unwrap_or_else(ObjectId::zero), new: id, name })
    }

    /// The first commit of a new project, with a `README.md`.
    pub async fn initialize_with_readme(&self, title: &str, author: &Signature) -> Result<Commit, Error> {
        let branch = self.default_branch().await?.ok_or(Error::NotFound(What::Branch))?;
        let readme = RepoPath::new("README.md")?;
        self.create_commit(&NewCommit {
            branch,
            start: None,
            force: false,
            message: "Initial commit".to_owned(),
            author: author.clone(),
            committer: author.clone(),
            actions: vec![Action::Create {
                path: readme,
                content: format!("# {title}\n").into_bytes(),
                executable: false,
            }],
        })
        .await
    }

    async fn parent_of(&self, new: &NewCommit, old: Option<&ObjectId>) -> Result<Option<ObjectId>, Error> {
        let other = match &new.start {
            Some(Start::Branch(start)) if *start == new.branch => None,
            other => other.as_ref(),
        };
        if other.is_some() && old.is_some() && !new.force {
            return Err(Conflict::CommitBranchExists(new.branch.to_string()).into());
        }
        match other {
            Some(Start::Commit(id)) => Ok(Some(self.commit(id).await?.id)),
            Some(Start::Branch(start)) => match self.read_ref(&start.to_ref()).await? {
                Some(id) => Ok(Some(id)),
                None if self.is_empty().await? => Ok(None),
                None => Err(Conflict::NotOnBranch.into()),
            },
            None => match old {
                Some(id) => Ok(Some(id.clone())),
                None if self.is_empty().await? => Ok(None),
                None => Err(Conflict::NotOnBranch.into()),
            },
        }
    }

    async fn check_last_commit(&self, base: &ObjectId, action: &Action) -> Result<(), Error> {
        let (Action::Update { path, last_commit_id: Some(expected), .. }
        | Action::Delete { path, last_commit_id: Some(expected) }
        | Action::Move { previous_path: path, last_commit_id: Some(expected), .. }) = action
        else {
            return Ok(());
        };
        match self.last_commit_for_path(base, path).await? {
            Some(last) if last != *expected => Err(Conflict::FileChanged(path.to_string()).into()),
            _ => Ok(()),
        }
    }
}

/// A file as it will be.
#[derive(Debug, Clone)]
struct Entry {
    mode: u32,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    /// As in an object that is there.
    Stored(ObjectId),
    /// The draft's blob with this number.
    New(usize),
}

/// The changes so far, on top of a commit.
struct Draft<'a> {
    base: Option<ObjectId>,
    /// `None` stands for a deleted file.
    changes: BTreeMap<RepoPath, Option<Entry>>,
    blobs: Vec<&'a [u8]>,
}

const PLAIN: u32 = 0o100_644;
const EXECUTABLE: u32 = 0o100_755;
/// A commit needs a reference while fast-import makes it; it is never written.
const SCRATCH: &str = "refs/weir/scratch";

impl<'a> Draft<'a> {
    async fn apply(&mut self, reader: &mut Reader, action: &'a Action) -> Result<(), Error> {
        match action {
            Action::Create { path, content, executable } => {
                self.must_be_free(reader, path).await?;
                let mode = if *executable { EXECUTABLE } else { PLAIN };
                let content = self.blob(content);
                self.changes.insert(path.clone(), Some(Entry { mode, content }));
            }
            Action::Update { path, content, .. } => {
                let mode = self.file(reader, path).await?.mode;
                let content = self.blob(content);
                self.changes.insert(path.clone(), Some(Entry { mode, content }));
            }
            Action::Move { path, previous_path, content, .. } => {
                let mut entry = self.file(reader, previous_path).await?;
                self.changes.insert(previous_path.clone(), None);
                self.must_be_free(reader, path).await?;
                if let Some(content) = content {
                    entry.content = self.blob(content);
                }
                self.changes.insert(path.clone(), Some(entry));
            }
            Action::Delete { path, .. } => {
                self.file(reader, path).await?;
                self.changes.insert(path.clone(), None);
            }
            Action::Chmod { path, executable } => {
                let mut entry = self.file(reader, path).await?;
                entry.mode = if *executable { EXECUTABLE } else { PLAIN };
                self.changes.insert(path.clone(), Some(entry));
            }
        }
        Ok(())
    }

    fn blob(&mut self, content: &'a [u8]) -> Content {
        self.blobs.push(content);
        Content::New(self.blobs.len())
    }

    /// The file at a path as the actions so far leave it.
    async fn file(&self, reader: &mut Reader, path: &RepoPath) -> Result<Entry, Error> {
        if let Some(change) = self.changes.get(path) {
            return change.clone().ok_or_else(|| Conflict::FileMissing.into());
        }
        let Some(base) = &self.base else { return Err(Conflict::FileMissing.into()) };
        let siblings = read_tree(reader, base, path.parent().as_ref()).await?.unwrap_or_default();
        match siblings.into_iter().find(|entry| entry.path == path.as_str()) {
            Some(entry) if entry.kind == EntryKind::Blob => {
                Ok(Entry { mode: entry.mode, content: Content::Stored(entry.id) })
            }
            _ => Err(Conflict::FileMissing.into()),
        }
    }

    /// A new file may not replace a file or directory, nor lie below a file.
    async fn must_be_free(&self, reader: &mut Reader, path: &RepoPath) -> Result<(), Error> {
        let mut above = Some(path.clone());
        while let Some(step) = above {
            match self.changes.get(&step) {
                Some(Some(_)) => return Err(Conflict::FileExists.into()),
                Some(None) => {}
                None => match self.stored(reader, &step).await? {
                    Some(ObjectKind::Tree) if step == *path => {
                        if !self.is_emptied(reader, &step).await? {
                            return Err(Conflict::DirectoryExists.into());
                        }
                    }
                    Some(ObjectKind::Tree) | None => {}
                    Some(_) => return Err(Conflict::FileExists.into()),
                },
            }
            above = step.parent();
        }
        let below = format!("{path}/");
        let is_directory =
            self.changes.iter().any(|(other, change)| change.is_some() && other.as_str().starts_with(&below));
        if is_directory { Err(Conflict::DirectoryExists.into()) } else { Ok(()) }
    }

    async fn stored(&self, reader: &mut Reader, path: &RepoPath) -> Result<Option<ObjectKind>, Error> {
        let Some(base) = &self.base else { return Ok(None) };
        Ok(reader.info(&format!("{base}:{path}")).await?.map(|info| info.kind))
    }

    /// Whether the actions so far deleted every file of a directory.
    async fn is_emptied(&self, reader: &mut Reader, directory: &RepoPath) -> Result<bool, Error> {
        let Some(base) = &self.base else { return Ok(true) };
        let mut open = vec![directory.clone()];
        while let Some(directory) = open.pop() {
            for entry in read_tree(reader, base, Some(&directory)).await?.unwrap_or_default() {
                let path = RepoPath::new(entry.path)?;
                match entry.kind {
                    EntryKind::Tree => open.push(path),
                    _ if matches!(self.changes.get(&path), Some(None)) => {}
                    _ => return Ok(false),
                }
            }
        }
        Ok(true)
    }

    /// The whole as `git fast-import` reads it. It prints the commit's name and leaves no reference behind.
    fn to_stream(&self, new: &NewCommit) -> Vec<u8> {
        let mut stream = Vec::new();
        for (index, content) in self.blobs.iter().enumerate() {
            stream.extend(format!("blob\nmark :{}\ndata {}\n", index + 1, content.len()).bytes());
            stream.extend_from_slice(content);
            stream.push(b'\n');
        }
        let message = new.message.replace('\0', "");
        let mark = self.blobs.len() + 1;
        let mut commit = format!("commit {SCRATCH}\nmark :{mark}\n");
        let _ = write!(commit, "author {}\ncommitter {}\n", new.author.to_git(), new.committer.to_git());
        let _ = write!(commit, "data {}\n{message}\n", message.len());
        if let Some(base) = &self.base {
            let _ = writeln!(commit, "from {base}");
        }
        // Deletions first: a file may take the place of a directory that they empty.
        for (path, _) in self.changes.iter().filter(|(_, change)| change.is_none()) {
            let _ = writeln!(commit, "D {}", quoted(path));
        }
        for (path, change) in &self.changes {
            if let Some(Entry { mode, content }) = change {
                let _ = match content {
                    Content::Stored(id) => writeln!(commit, "M {mode:o} {id} {}", quoted(path)),
                    Content::New(mark) => writeln!(commit, "M {mode:o} :{mark} {}", quoted(path)),
                };
            }
        }
        stream.extend(commit.bytes());
        stream.extend(
            format!("\nget-mark :{mark}\nreset {SCRATCH}\nfrom {}\n\ndone\n", ObjectId::zero()).bytes(),
        );
        stream
    }
}

/// A path in fast-import's quotes, in which nothing can end the line.
fn quoted(path: &RepoPath) -> String {
    let mut quoted = String::from("\"");
    for character in path.as_str().chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_on_their_line() {
        let path = RepoPath::new("a\"b\\c\nD x").unwrap();
        assert_eq!(quoted(&path), r#""a\"b\\c\nD x""#);
    }
}
