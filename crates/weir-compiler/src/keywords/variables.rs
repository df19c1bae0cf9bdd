//! `variables`. Source: `entry/{variables,variable}.rb`.

use weir_yaml::Value;

use crate::entry::{Entry, Findings};
use crate::plan::Variable;

/// What a variable may hold besides a plain value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// Nothing: `rules:variables` and those of services.
    Plain,
    /// `value` and `expand`.
    Job,
    /// `description` and `options`, too.
    Global,
}

/// A hash of variables, in order.
pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings, allowed: Allowed) -> Vec<Variable> {
    let Some(mapping) = entry.expect_mapping(findings) else { return Vec::new() };
    let mut variables = Vec::with_capacity(mapping.len());
    for item in mapping {
        let key = item.key.to_text().unwrap_or_default();
        let child = entry.within(&key, &item.value, item.key.span);
        if let Some((value, raw)) = variable(&child, findings, allowed) {
            variables.push(Variable { key, value, raw });
        }
    }
    variables
}

fn variable(entry: &Entry<'_>, findings: &mut Findings, allowed: Allowed) -> Option<(String, bool)> {
    let Some(mapping) = entry.mapping() else {
        let text = entry.node.to_text();
        if text.is_none() {
            let message = "variable definition must be either a string or a hash";
            findings.error("wrong-type", Some(entry.node.span), message);
        }
        return Some((text?, false));
    };
    let before = findings.count();
    let value = entry.value("value");
    for key in ["value", "description"] {
        if entry.value(key).is_some_and(|node| node.to_text().is_none()) {
            findings.invalid(entry, key, "must be a scalar");
        }
    }
    let expand = entry.boolean(findings, "expand");
    let options = entry.strings(findings, "options");
    let known: &[&str] = match allowed {
        Allowed::Plain => {
            findings.invalid(entry, "config", "must be a string");
            return None;
        }
        Allowed::Job => &["value", "expand"],
        Allowed::Global => &["value", "expand", "description", "options"],
    };
    let extra: Vec<String> = mapping
        .iter()
        .filter(|item| !item.name().is_some_and(|name| known.contains(&name)))
        .filter_map(|item| item.key.to_text())
        .collect();
    if !extra.is_empty() {
        findings.invalid(entry, "config", &format!("uses invalid data keys: {}", extra.join(", ")));
    }
    let text = value.and_then(weir_yaml::Node::to_text).unwrap_or_default();
    if let Some(options) = options
        && !options.is_empty()
        && !value.is_some_and(|node| matches!(&node.value, Value::String(text) if options.contains(text)))
    {
        findings.invalid(entry, "config", "value must be present in options");
    }
    (findings.count() == before).then_some((text, expand == Some(false)))
}

#[cfg(test)]
mod tests {
    use crate::testing::{compile, errors_of};

    #[test]
    fn scalars_become_texts_as_in_ruby() {
        let plan = compile(
            "rspec:\n  script: x\n  variables: {A: 0777, B: 1.10, C: yes, D: , E: {value: $A, expand: false}, 5: x}",
        );
        let variables: Vec<(&str, &str, bool)> =
            plan.jobs[0].variables.iter().map(|v| (v.key.as_str(), v.value.as_str(), v.raw)).collect();
        assert_eq!(
            variables,
            [
                ("A", "511", false),
                ("B", "1.1", false),
                ("C", "true", false),
                ("D", "", false),
                ("E", "$A", true),
                ("5", "x", false),
            ]
        );
    }

    #[test]
    fn other_values_are_refused() {
        for (variables, expected) in [
            ("[a]", "variables config should be a hash"),
            ("{A: [b]}", "variable definition must be either a string or a hash"),
            ("{A: {value: b, desc: c}}", "variables:a config uses invalid data keys: desc"),
            ("{A: {value: b, options: [c]}}", "variables:a config value must be present in options"),
            ("{A: {value: b, expand: x}}", "variables:a expand should be a boolean value"),
        ] {
            let text = format!("variables: {variables}\nrspec: {{script: x}}");
            assert_eq!(errors_of(&text), [expected], "{variables}");
        }
        assert_eq!(
            errors_of("rspec: {script: x, variables: {A: {value: b, description: c}}}"),
            ["jobs:rspec:variables:a config uses invalid data keys: description"]
        );
    }
}
