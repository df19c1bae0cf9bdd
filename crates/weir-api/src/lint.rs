//! Validation of a configuration. Source: `lib/api/entities/ci/lint/result.rb`.

use serde::{Deserialize, Serialize};

use crate::Extra;
use crate::lenient::null_as_default;

/// What is to be said about a configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LintResult {
    /// Whether a pipeline could be made of it.
    pub valid: bool,
    /// What prevents that.
    #[serde(default)]
    pub errors: Vec<String>,
    /// What should be changed.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The configuration with all includes; null if it could not be read.
    pub merged_yaml: Option<String>,
    /// What it includes.
    #[serde(default)]
    pub includes: Option<Vec<LintInclude>>,
    /// Its jobs, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<Vec<LintJob>>,
}

/// A file that a configuration includes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LintInclude {
    /// `local`, `file`, `remote`, `template` or `component`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it is.
    pub location: String,
    /// Its page.
    pub blob: Option<String>,
    /// Its text.
    pub raw: Option<String>,
    /// More about where it is.
    #[serde(default, deserialize_with = "null_as_default")]
    pub extra: Extra,
    /// The project that includes it.
    pub context_project: Option<String>,
    /// The commit that includes it.
    pub context_sha: Option<String>,
}

/// A job of a configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LintJob {
    /// Its name.
    pub name: String,
    /// Its stage.
    pub stage: String,
    /// What runs before the script.
    #[serde(default, deserialize_with = "null_as_default")]
    pub before_script: Vec<String>,
    /// The script.
    #[serde(default, deserialize_with = "null_as_default")]
    pub script: Vec<String>,
    /// What runs after it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub after_script: Vec<String>,
    /// Its tags.
    #[serde(default, deserialize_with = "null_as_default")]
    pub tag_list: Vec<String>,
    /// Its environment.
    pub environment: Option<String>,
    /// When it runs.
    #[serde(default)]
    pub when: String,
    /// Whether its failure leaves the pipeline's status alone.
    #[serde(default)]
    pub allow_failure: bool,
    /// `only`.
    pub only: Option<serde_json::Value>,
    /// `except`.
    pub except: Option<serde_json::Value>,
    /// `needs`.
    pub needs: Option<serde_json::Value>,
}
