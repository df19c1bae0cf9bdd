//! Artifacts of jobs. Source: `lib/api/entities/ci/job_artifact*.rb`.

use serde::{Deserialize, Serialize};

use crate::Word;
use crate::status::{ArtifactFileType, ArtifactFormat};

/// A job's archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactsFile {
    /// Its name.
    pub filename: String,
    /// Its size in bytes.
    #[serde(default)]
    pub size: i64,
}

/// One artifact file of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobArtifact {
    /// What it is.
    pub file_type: Word<ArtifactFileType>,
    /// Its size in bytes.
    #[serde(default)]
    pub size: i64,
    /// Its name.
    pub filename: String,
    /// How it is packed.
    pub file_format: Option<Word<ArtifactFormat>>,
}

crate::status::vocabulary! {
    /// What an entry of an archive is.
    ArtifactEntryType, "type of entry" {
        /// A file.
        File = "file",
        /// A directory.
        Directory = "directory",
    }
}

/// One entry of a job's archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactTreeEntry {
    /// The last part of its path.
    pub name: String,
    /// Its path in the archive.
    pub path: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ArtifactEntryType,
    /// Its size in bytes; for files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    /// Its mode in octal, `100644`.
    #[serde(default)]
    pub mode: String,
}
