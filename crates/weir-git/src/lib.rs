//! Repositories by the git program: reads, diffs, commits, and the two pack services.

mod commits;
mod error;
mod files;
pub mod limits;
mod names;
mod objects;
mod process;
mod reader;
mod refs;
mod repositories;

pub use commits::{CommitFilter, CommitStats};
pub use error::{Conflict, Error, What};
pub use files::{ByteStream, FileInfo};
pub use names::{BranchName, InvalidName, ObjectId, RefName, RepoPath, TagName};
pub use objects::{Annotation, Commit, EntryKind, Signature, TreeEntry};
pub use reader::{ObjectInfo, ObjectKind};
pub use refs::{Branch, Listing, RefOrder, RefUpdate, Resolved, Tag};
pub use repositories::{Repositories, Repository};
