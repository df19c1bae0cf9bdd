//! The tree of a repository. Source: `lib/api/entities/tree_object.rb`.

use serde::{Deserialize, Serialize};

crate::status::vocabulary! {
    /// What an entry is.
    TreeEntryType, "type of entry" {
        /// A directory.
        Tree = "tree",
        /// A file.
        Blob = "blob",
        /// A submodule.
        Commit = "commit",
    }
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeEntry {
    /// Git's name of it.
    pub id: String,
    /// The last part of its path.
    pub name: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: TreeEntryType,
    /// Its path.
    pub path: String,
    /// Its mode in octal, `100644`.
    pub mode: String,
}
