//! CI/CD variables: what they are, who wins, how references to them expand, and which ones always exist.

mod expand;
mod forward;
pub mod predefined;
mod scope;

pub use expand::{ExpandError, Expansion, References, expand, expand_all};
pub use forward::forward;
pub use scope::{Level, StoredVariable, Variables, applicable, environment_scope_matches};

use crate::plan;

/// One variable, as expressions see it and as the runner gets it.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the runner's protocol has these four flags")]
pub struct Variable {
    /// The name.
    pub key: String,
    /// The value. None is `null` in expressions and empty for the runner: a pipeline without a name has a
    /// `CI_PIPELINE_NAME` of that kind.
    pub value: Option<String>,
    /// Whether the value may be shown to everyone.
    pub public: bool,
    /// Whether the job sees the path of a file with this value.
    pub file: bool,
    /// Whether the runner hides the value in the trace.
    pub masked: bool,
    /// Whether references in the value stay as they are.
    pub raw: bool,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = if self.public { self.value.as_deref() } else { Some("[hidden]") };
        f.debug_struct("Variable")
            .field("key", &self.key)
            .field("value", &value)
            .field("public", &self.public)
            .field("file", &self.file)
            .field("masked", &self.masked)
            .field("raw", &self.raw)
            .finish()
    }
}

impl Variable {
    /// A public variable without flags, as GitLab's predefined ones and those of the file are.
    pub fn public(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self::nullable(key, Some(value.into()))
    }

    /// A public variable that may be null.
    pub fn nullable(key: impl Into<String>, value: Option<String>) -> Self {
        Self { key: key.into(), value, public: true, file: false, masked: false, raw: false }
    }

    /// A variable that is not public, neither masked nor raw: one of a pipeline, a schedule or a dotenv report.
    pub fn private(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { public: false, ..Self::public(key, value) }
    }

    /// A variable that is not public and that the runner hides in the trace.
    pub fn secret(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { masked: true, ..Self::private(key, value) }
    }

    /// The value for the runner.
    pub fn text(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }
}

impl From<&plan::Variable> for Variable {
    fn from(variable: &plan::Variable) -> Self {
        Self { raw: variable.raw, ..Self::public(&variable.key, &variable.value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_what_is_not_public() {
        assert!(!format!("{:?}", Variable::secret("TOKEN", "glpat-1")).contains("glpat-1"));
        assert!(format!("{:?}", Variable::public("CI", "true")).contains("true"));
    }
}
