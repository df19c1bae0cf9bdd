//! What can go wrong.

use crate::names::InvalidName;

/// Why an operation on a repository failed. Where GitLab has a message for the user, it is that message.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no repository at this place.
    #[error("A repository for this project does not exist yet")]
    NoRepository,
    /// There is one already.
    #[error("There is already a repository with that name on disk")]
    RepositoryExists,
    /// The name names nothing.
    #[error("{0} not found")]
    NotFound(What),
    /// A name that is both a branch's and a tag's, where only one may be meant.
    #[error("Ref is ambiguous")]
    AmbiguousRef,
    /// The name is not allowed.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// The commit cannot be made as it was asked for.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// What was asked for exceeds a limit of `limits.rs`.
    #[error("{what} exceeds the limit of {limit}")]
    TooLarge {
        /// What is too big or too many.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A client sent what is not Git's protocol.
    #[error("bad request to the pack service: {0}")]
    Protocol(&'static str),
    /// The program failed; its last words are for the log, not for users.
    #[error("git {command} failed ({status}): {stderr}")]
    Git {
        /// The subcommand.
        command: String,
        /// How it ended.
        status: String,
        /// The beginning of its standard error.
        stderr: String,
    },
    /// The program took longer than allowed and was ended.
    #[error("git {0} took too long")]
    Timeout(String),
    /// The program printed what cannot be understood, or the repository is broken.
    #[error("unexpected answer of git: {0}")]
    Unexpected(String),
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// What was not found, as GitLab's 404 names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A branch.
    Branch,
    /// A tag.
    Tag,
    /// A commit.
    Commit,
    /// A file.
    File,
    /// A directory.
    Tree,
    /// A blob.
    Blob,
    /// A revision of any kind.
    Revision,
}

impl std::fmt::Display for What {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Branch => "Branch",
            Self::Tag => "Tag",
            Self::Commit => "Commit",
            Self::File => "File",
            Self::Tree => "Tree",
            Self::Blob => "Blob",
            Self::Revision => "Revision",
        })
    }
}

/// Why a write was refused. The messages are GitLab's
/// (`app/services/commits/create_service.rb`, `app/services/files`, `app/services/branches`,
/// `app/services/tags`; the ones about files are Gitaly's).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// `create` or `move` onto a file.
    #[error("A file with this name already exists")]
    FileExists,
    /// `create` or `move` onto a directory.
    #[error("A directory with this name already exists")]
    DirectoryExists,
    /// `update`, `move`, `delete` or `chmod` of a file that is not there.
    #[error("A file with this name doesn't exist")]
    FileMissing,
    /// The branch to begin from does not exist.
    #[error("You can only create or edit files when you are on a branch")]
    NotOnBranch,
    /// The branch to create by a commit exists.
    #[error("A branch called '{0}' already exists. Switch to that branch in order to make changes")]
    CommitBranchExists(String),
    /// `create_branch` of one that exists.
    #[error("Branch already exists")]
    BranchExists,
    /// A branch's name that is a directory of another one's, or below it.
    #[error("Failed to create branch '{0}': Branch name conflicts with existing branch hierarchy.")]
    BranchHierarchy(String),
    /// The revision that a branch should begin from does not exist.
    #[error("Failed to create branch '{name}': invalid reference name '{from}'")]
    BranchTarget {
        /// The branch.
        name: String,
        /// The revision.
        from: String,
    },
    /// `create_tag` of one that exists.
    #[error("Tag {0} already exists")]
    TagExists(String),
    /// The revision that a tag should name does not exist.
    #[error("Target {0} is invalid")]
    TagTarget(String),
    /// The file has another last commit than the editor saw.
    #[error("The file has changed since you started editing it: {0}")]
    FileChanged(String),
    /// Someone else moved the reference meanwhile.
    #[error("Could not update {0}. Please refresh and try again.")]
    RefMoved(String),
}
