//! Files of a repository. Source: `lib/api/files.rb`.

use serde::{Deserialize, Serialize};

/// A file with its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The last part of its path.
    pub file_name: String,
    /// Its path.
    pub file_path: String,
    /// Its size in bytes.
    pub size: i64,
    /// `base64`.
    pub encoding: String,
    /// The SHA-256 of its content.
    #[serde(default)]
    pub content_sha256: String,
    /// The ref asked for.
    #[serde(rename = "ref")]
    pub ref_name: String,
    /// Git's name of the content.
    pub blob_id: String,
    /// The ref's commit.
    pub commit_id: String,
    /// The last commit that changed it.
    pub last_commit_id: String,
    /// Whether it is executable.
    #[serde(default)]
    pub execute_filemode: bool,
    /// Its content in `encoding`.
    #[serde(default)]
    pub content: String,
}

/// The answer to a change of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// Its path.
    pub file_path: String,
    /// The branch that has it now.
    pub branch: String,
}
