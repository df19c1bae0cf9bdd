//! Repositories by the git program: reads, diffs, commits, and the two pack services.

mod commit_actions;
mod commits;
mod error;
mod files;
pub mod limits;
mod names;
mod objects;
mod pack;
mod process;
mod reader;
mod refs;
mod repositories;

pub use commit_actions::{Action, NewCommit, Start};
pub use commits::{CommitFilter, CommitStats};
pub use error::{Conflict, Error, What};
pub use files::{ByteStream, FileInfo};
pub use names::{BranchName, InvalidName, ObjectId, RefName, RepoPath, TagName};
pub use objects::{Annotation, Commit, EntryKind, Signature, TreeEntry};
pub use pack::{Encoding, Protocol, PushRequest, Rejection, Service, UnknownService};
pub use reader::{ObjectInfo, ObjectKind};
pub use refs::{Branch, Listing, RefOrder, RefUpdate, Resolved, Tag};
pub use repositories::{Repositories, Repository};
