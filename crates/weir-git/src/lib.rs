//! Repositories by the git program: reads, diffs, commits, and the two pack services.
//!
//! [`Repositories`] knows where they lie, a [`Repository`] does everything else: it reads references, history and
//! files, makes commits, branches and tags, and answers the clients of smart HTTP. Who may do what is decided
//! elsewhere; this crate knows neither users nor HTTP nor SQL.
//!
//! Names are types ([`RefName`], [`ObjectId`], [`RepoPath`] …), so that no text of a user can stand where `git`
//! expects an option. Each process runs in a clean environment and in a group of its own that is killed when nobody
//! waits for it any more. Single objects come from processes that stay; references are read from their files.

mod commit_actions;
mod commits;
mod error;
mod files;
mod forks;
pub mod limits;
mod merges;
mod names;
mod objects;
mod pack;
mod process;
mod reader;
mod ref_files;
mod refs;
mod repositories;

pub use commit_actions::{Action, NewCommit, Start};
pub use commits::{ChangedFiles, CommitFilter, CommitStats};
pub use error::{Conflict, Error, What};
pub use files::{ByteStream, FileInfo};
pub use merges::NewMerge;
pub use names::{BranchName, InvalidName, ObjectId, RefName, RepoPath, TagName};
pub use objects::{Annotation, Commit, EntryKind, Signature, TreeEntry};
pub use pack::{Encoding, Protocol, PushRequest, Rejection, Service, UnknownService};
pub use reader::{ObjectInfo, ObjectKind};
pub use refs::{Branch, Listing, RefOrder, RefUpdate, Resolved, Tag};
pub use repositories::{Repositories, Repository};
