//! Namespaces: what a project lives in. Source: `lib/api/entities/namespace*.rb`.

use serde::{Deserialize, Serialize};

use crate::NamespaceKind;
use crate::id::NamespaceId;

/// A namespace as projects name it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamespaceBasic {
    /// The namespace.
    pub id: NamespaceId,
    /// Its name.
    pub name: String,
    /// The last part of its path.
    pub path: String,
    /// What it belongs to.
    pub kind: NamespaceKind,
    /// Its whole path.
    pub full_path: String,
    /// The namespace around it.
    pub parent_id: Option<NamespaceId>,
    /// Its picture.
    pub avatar_url: Option<String>,
    /// Its page.
    #[serde(default)]
    pub web_url: String,
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Namespace {
    /// What names it.
    #[serde(flatten)]
    pub basic: NamespaceBasic,
    /// Members, also of what is within; for those who manage it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members_count_with_descendants: Option<i64>,
    /// Bytes of its repositories; for those who manage it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_repository_size: Option<i64>,
}

/// Whether a path is taken: `GET /namespaces/:id/exists`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceExistence {
    /// Whether it is.
    pub exists: bool,
    /// Paths that are free.
    #[serde(default)]
    pub suggests: Vec<String>,
}

crate::inherits!(Namespace => basic: NamespaceBasic);
