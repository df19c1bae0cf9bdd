//! Tags, protected ones too. Source: `lib/api/entities/{tag,protected_tag}.rb`.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::branches::ProtectedRefAccess;
use crate::commits::Commit;
use crate::lenient::null_as_default;

/// A tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// Its message; empty for a lightweight tag.
    #[serde(default, deserialize_with = "null_as_default")]
    pub message: String,
    /// What it points at: the tag object or the commit.
    pub target: String,
    /// Its commit.
    pub commit: Option<Commit>,
    /// Its release.
    pub release: Option<TagRelease>,
    /// Whether it is protected.
    #[serde(default)]
    pub protected: bool,
    /// When it was made; null for a lightweight tag.
    pub created_at: Option<Timestamp>,
}

/// The release of a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagRelease {
    /// The tag.
    pub tag_name: String,
    /// What it brings.
    pub description: Option<String>,
}

/// A protected tag, or a pattern of such.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectedTag {
    /// The tag or pattern.
    pub name: String,
    /// Who may create it.
    #[serde(default)]
    pub create_access_levels: Vec<ProtectedRefAccess>,
}
