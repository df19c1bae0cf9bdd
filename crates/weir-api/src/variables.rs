//! CI/CD variables. Source: `lib/api/entities/ci/variable.rb`.

use serde::{Deserialize, Serialize};

use crate::VariableType;
use crate::lenient::present;

/// A variable of a project, group or instance. `Debug` leaves the value out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// What a job gets.
    #[serde(default)]
    pub variable_type: VariableType,
    /// Its name.
    pub key: String,
    /// Its value; null if it is hidden.
    pub value: Option<String>,
    /// Whether its value is never shown; not for the instance's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<bool>,
    /// Whether only protected refs get it; not for schedules' and pipelines'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected: Option<bool>,
    /// Whether traces hide its value; not for schedules' and pipelines'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masked: Option<bool>,
    /// Whether `$` in its value is left alone.
    #[serde(default)]
    pub raw: bool,
    /// The environments that get it; for a project's and a group's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_scope: Option<String>,
    /// A text for people; absent with `None`, null with `Some(None)`; not for schedules' and pipelines'.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub description: Option<Option<String>>,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Variable").field("key", &self.key).finish_non_exhaustive()
    }
}
