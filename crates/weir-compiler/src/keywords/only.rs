//! `only` and `except`. Source: `entry/policy.rb`; evaluation: `build/policy/*.rb` in [`crate::policy`].

use weir_yaml::{Node, Value};

use crate::entry::{Entry, Findings, strings_of};
use crate::expr::{self, Expr};
use crate::regexp::Regexp;

/// `only` or `except`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Policy {
    pub(crate) refs: Option<Vec<String>>,
    pub(crate) variables: Option<Vec<Expr>>,
    pub(crate) changes: Option<Vec<String>>,
    pub(crate) kubernetes: bool,
}

impl Policy {
    /// `only` of a job that has neither `only` nor `rules`.
    pub(crate) fn default_only() -> Self {
        Self { refs: Some(vec!["branches".into(), "tags".into()]), ..Self::default() }
    }
}

/// A list of refs, or a hash.
pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings) -> Option<Policy> {
    let before = findings.count();
    let policy = match &entry.node.value {
        Value::Sequence(_) => {
            Policy { refs: refs(entry, findings, "config", entry.node), ..Policy::default() }
        }
        Value::Mapping(mapping) => {
            if mapping.is_empty() {
                findings.invalid(entry, "config", "can't be blank");
            }
            entry.allowed_keys(findings, &["refs", "kubernetes", "variables", "changes"]);
            let variables = entry.strings(findings, "variables");
            let expressions = variables.map(|list| {
                let parsed: Vec<Expr> = list.iter().filter_map(|text| expr::parse(text).ok()).collect();
                for _ in parsed.len()..list.len() {
                    findings.invalid(entry, "variables", "invalid expression syntax");
                }
                parsed
            });
            let kubernetes = entry.value("kubernetes").map(|node| {
                if node.as_str() != Some("active") {
                    let text = format!("unknown value: {}", node.to_text().unwrap_or_default());
                    findings.invalid(entry, "kubernetes", &text);
                }
            });
            Policy {
                refs: entry.value("refs").and_then(|node| refs(entry, findings, "refs", node)),
                variables: expressions,
                changes: entry.strings(findings, "changes"),
                kubernetes: kubernetes.is_some(),
            }
        }
        _ => {
            findings.unsupported(entry, "has to be either an array of conditions or a hash");
            return None;
        }
    };
    (findings.count() == before).then_some(policy)
}

fn refs(entry: &Entry<'_>, findings: &mut Findings, attribute: &str, node: &Node) -> Option<Vec<String>> {
    let valid = |text: &String| !looks_like_regexp(text) || Regexp::from_literal(strip_project(text)).is_ok();
    let refs = strings_of(node).filter(|refs| refs.iter().all(valid));
    if refs.is_none() {
        let text = "should be an array of strings or regular expressions using re2 syntax";
        findings.invalid(entry, attribute, text);
    }
    refs
}

/// Whether a text has the form `/…/flags`.
pub(crate) fn looks_like_regexp(text: &str) -> bool {
    text.strip_prefix('/').is_some_and(|rest| {
        let rest = strip_project(rest);
        rest.rfind('/').is_some_and(|end| end > 0 && rest[end + 1..].bytes().all(|b| b"ismU".contains(&b)))
    })
}

/// The part before `@group/project`.
pub(crate) fn strip_project(text: &str) -> &str {
    text.split_once('@').map_or(text, |(pattern, _)| pattern)
}

#[cfg(test)]
mod tests {
    use crate::testing::errors;

    #[test]
    fn other_values_are_refused() {
        let at = "jobs:rspec:only";
        for (only, expected) in [
            ("main", " has to be either an array of conditions or a hash"),
            ("[1]", " config should be an array of strings or regular expressions using re2 syntax"),
            ("['/(/']", " config should be an array of strings or regular expressions using re2 syntax"),
            ("{}", " config can't be blank"),
            ("{x: [y]}", " config contains unknown keys: x"),
            ("{variables: ['$A =']}", " variables invalid expression syntax"),
            ("{changes: a}", " changes should be an array of strings"),
            ("{kubernetes: x}", " kubernetes unknown value: x"),
        ] {
            assert_eq!(errors(&format!("script: x\nonly: {only}")), [format!("{at}{expected}")], "{only}");
        }
        assert_eq!(
            errors("script: x\nonly: [main]\nrules: [{when: always}]"),
            ["jobs:rspec config key may not be used with `rules`: only"]
        );
    }
}
