//! `script`, `before_script`, `after_script` and `hooks:pre_get_sources_script`: a command or nested lists of
//! commands. Source: `entry/{commands,script,hooks}.rb`.

use weir_yaml::{Node, Value};

use crate::entry::{Entry, Findings};
use crate::limits::LIST_LEVELS;

/// The commands, flat.
pub(crate) fn commands(entry: &Entry<'_>, findings: &mut Findings) -> Option<Vec<String>> {
    let mut commands = Vec::new();
    if flatten(entry.node, 0, &mut commands) {
        return Some(commands);
    }
    let text = format!("should be a string or a nested array of strings up to {LIST_LEVELS} levels deep");
    findings.invalid(entry, "config", &text);
    if let Some(bad) = first_other(entry.node)
        && let Some(last) = findings.diagnostics.last_mut()
    {
        if let Some(label) = findings.sources.label(bad.span, "not a string") {
            last.labels = vec![label];
        }
        last.help = Some(match bad.value {
            Value::Mapping(_) => "`: ` makes a mapping of a command: put the command in quotes".to_owned(),
            _ => "put the command in quotes".to_owned(),
        });
    }
    None
}

/// `hooks`: the commands of its only key.
pub(crate) fn hooks(entry: &Entry<'_>, findings: &mut Findings) -> Option<Vec<String>> {
    let before = findings.count();
    entry.expect_mapping(findings)?;
    entry.allowed_keys(findings, &["pre_get_sources_script"]);
    if findings.count() > before {
        return None;
    }
    match entry.child("pre_get_sources_script") {
        Some(child) => commands(&child, findings),
        None => Some(Vec::new()),
    }
}

/// Takes the texts of nested lists; false if something else is among them.
pub(crate) fn flatten(node: &Node, level: usize, out: &mut Vec<String>) -> bool {
    match &node.value {
        Value::String(text) => {
            out.push(text.clone());
            true
        }
        Value::Sequence(items) if level < LIST_LEVELS + 1 => {
            items.iter().all(|item| flatten(item, level + 1, out))
        }
        _ => false,
    }
}

fn first_other(node: &Node) -> Option<&Node> {
    match &node.value {
        Value::String(_) => None,
        Value::Sequence(items) => items.iter().find_map(first_other),
        _ => Some(node),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{errors, job};

    #[test]
    fn lists_of_commands_are_flat() {
        for (yaml, expected) in [
            ("script: a", &["a"][..]),
            ("script: [a, b]", &["a", "b"]),
            ("script: [a, [b, [c]], d]", &["a", "b", "c", "d"]),
            ("script: |\n  a\n  b\n", &["a\nb\n"]),
        ] {
            assert_eq!(job(yaml).script, expected, "{yaml}");
        }
    }

    #[test]
    fn other_values_are_refused() {
        let wrong =
            "jobs:rspec:script config should be a string or a nested array of strings up to 10 levels deep";
        for (yaml, expected) in [
            ("script: 1", wrong),
            ("script: [a, {b: c}]", wrong),
            ("script: [true]", wrong),
            ("script: [[[[[[[[[[[[a]]]]]]]]]]]]", wrong),
            ("script:", "jobs:rspec script can't be blank"),
            ("script: []", "jobs:rspec script can't be blank"),
            ("script: ''", "jobs:rspec script can't be blank"),
            ("script: a\nhooks: {x: y}", "jobs:rspec:hooks config contains unknown keys: x"),
        ] {
            assert_eq!(errors(yaml), [expected], "{yaml}");
        }
    }
}
