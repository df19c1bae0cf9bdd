//! The instance itself: `GET /version` and `GET /metadata`. Source: `lib/api/entities/metadata.rb`.

use serde::{Deserialize, Serialize};

/// What the server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The version; clients choose features by it.
    pub version: String,
    /// The commit that it was built from.
    #[serde(default)]
    pub revision: String,
    /// The server for Kubernetes agents.
    #[serde(default)]
    pub kas: Kas,
    /// Whether this is the enterprise edition.
    #[serde(default)]
    pub enterprise: bool,
}

/// The server for Kubernetes agents.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Kas {
    /// Whether there is one.
    pub enabled: bool,
    /// Where agents reach it.
    pub external_url: Option<String>,
    /// Where `kubectl` reaches it.
    #[serde(rename = "externalK8sProxyUrl")]
    pub external_k8s_proxy_url: Option<String>,
    /// Its version.
    pub version: Option<String>,
}
