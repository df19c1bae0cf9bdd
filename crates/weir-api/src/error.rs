//! Bodies of refusals, in both of GitLab's shapes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `{"message": …}` from the application, `{"error": …}` from its API framework.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorBody {
    /// A text, or an object of fields with their complaints, or a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Value>,
    /// A text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// More about `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_description: Option<String>,
    /// The scopes that would do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

impl ErrorBody {
    /// All that the body says, in one line: `ref is missing`, `key: can't be blank, is too short`.
    ///
    /// `error` wins over `message` if a body has both, as with python-gitlab.
    pub fn text(&self) -> Option<String> {
        let said = self.error.as_ref().or(self.message.as_ref()).map(flatten);
        match (said, &self.error_description) {
            (Some(said), Some(more)) => Some(format!("{said}: {more}")),
            (said, more) => said.or_else(|| more.clone()),
        }
    }
}

/// Complaints about the whole object stand under `base`, which says nothing.
fn flatten(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(flatten).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => fields
            .iter()
            .map(|(field, complaints)| match field.as_str() {
                "base" | "error" => flatten(complaints),
                _ => format!("{field}: {}", flatten(complaints)),
            })
            .collect::<Vec<_>>()
            .join("; "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_shape_becomes_one_line() {
        for (body, text) in [
            (json!({"message": "404 Project Not Found"}), "404 Project Not Found"),
            (json!({"error": "ref is missing"}), "ref is missing"),
            (json!({"message": {"base": ["Reference not found"]}}), "Reference not found"),
            (
                json!({"message": {"key": ["can't be blank", "is too short"], "value": ["is invalid"]}}),
                "key: can't be blank, is too short; value: is invalid",
            ),
            (json!({"message": ["a", "b"]}), "a, b"),
            (
                json!({"error": "insufficient_scope", "error_description": "More is needed.", "scope": "api"}),
                "insufficient_scope: More is needed.",
            ),
            (json!({"message": "m", "error": "e"}), "e"),
            (json!({"message": {"error": "Try again later."}}), "Try again later."),
        ] {
            let body: ErrorBody = serde_json::from_value(body).unwrap();
            assert_eq!(body.text().as_deref(), Some(text));
        }
        assert_eq!(ErrorBody::default().text(), None);
    }
}
