//! `rules` of jobs, workflow and includes: their form. Evaluation is in [`crate::rules`]. Source:
//! `entry/{rules,rules/rule,rules/rule/changes,rules/rule/exists}.rb`.

use weir_yaml::{Node, Span, Value};

use crate::entry::{Entry, Findings, is_blank, strings_of};
use crate::expr::{self, Expr};
use crate::keywords::{needs, variables, workflow};
use crate::limits::{LIST_LEVELS, RULE_GLOBS, START_IN_SECONDS};
use crate::plan::Variable;

/// One rule.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Rule {
    pub(crate) condition: Option<Expr>,
    pub(crate) changes: Option<Changes>,
    pub(crate) exists: Option<Exists>,
    pub(crate) when: Option<String>,
    pub(crate) start_in: Option<u64>,
    pub(crate) allow_failure: Option<bool>,
    pub(crate) interruptible: Option<bool>,
    pub(crate) variables: Vec<Variable>,
    pub(crate) needs: Option<needs::Needs>,
    pub(crate) auto_cancel: workflow::AutoCancel,
    /// Whether `when` is its only key.
    pub(crate) only_when: bool,
    pub(crate) span: Span,
}

/// `changes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) paths: Vec<String>,
    pub(crate) compare_to: Option<String>,
}

/// `exists`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exists {
    pub(crate) paths: Vec<String>,
    pub(crate) project: Option<String>,
    pub(crate) git_ref: Option<String>,
}

/// Where rules stand: it decides which keys and `when` they may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Job,
    Workflow,
    Include,
}

impl Place {
    const fn whens(self) -> &'static [&'static str] {
        match self {
            Self::Job => &["on_success", "on_failure", "always", "never", "manual", "delayed"],
            Self::Workflow | Self::Include => &["always", "never"],
        }
    }

    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Job => &[
                "if",
                "changes",
                "exists",
                "when",
                "start_in",
                "allow_failure",
                "variables",
                "needs",
                "interruptible",
            ],
            Self::Workflow => &[
                "if",
                "changes",
                "exists",
                "when",
                "start_in",
                "allow_failure",
                "variables",
                "needs",
                "auto_cancel",
            ],
            Self::Include => &["if", "changes", "exists", "when"],
        }
    }
}

/// Whether a value has the form of rules: hashes in lists up to 10 deep.
pub(crate) fn has_form(node: &Node) -> bool {
    fn nested(node: &Node, level: usize) -> bool {
        match &node.value {
            Value::Mapping(_) => level > 0,
            Value::Sequence(items) => {
                level <= LIST_LEVELS && items.iter().all(|item| nested(item, level + 1))
            }
            _ => false,
        }
    }
    node.as_sequence().is_some() && nested(node, 0)
}

/// `rules`.
pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings, place: Place) -> Option<Vec<Rule>> {
    let before = findings.count();
    if is_blank(entry.node) {
        findings.invalid(entry, "config", "can't be blank");
        return None;
    }
    if entry.node.as_sequence().is_none() {
        findings.invalid(entry, "config", "should be a array");
        return None;
    }
    let mut rules = Vec::new();
    flat(entry.node, &mut |node| rules.extend(rule(&entry.item("rule", node), findings, place)));
    (findings.count() == before).then_some(rules)
}

fn flat<'a>(node: &'a Node, visit: &mut dyn FnMut(&'a Node)) {
    match node.as_sequence() {
        Some(items) => items.iter().for_each(|item| flat(item, visit)),
        None => visit(node),
    }
}

fn rule(entry: &Entry<'_>, findings: &mut Findings, place: Place) -> Option<Rule> {
    let before = findings.count();
    if is_blank(entry.node) {
        findings.invalid(entry, "config", "can't be blank");
    }
    let mapping = entry.expect_mapping(findings)?;
    let delayed = entry.get("when").and_then(Node::as_str) == Some("delayed");
    if !delayed && entry.has("start_in") {
        findings.invalid(entry, "config", "contains disallowed keys: start_in");
    }
    let start_in = if !delayed {
        None
    } else if entry.get("start_in").is_none_or(is_blank) {
        findings.invalid(entry, "start in", "can't be blank");
        None
    } else {
        entry.duration(findings, "start_in", Some(START_IN_SECONDS))
    };
    let condition = condition(entry, findings);
    let allow_failure = entry.boolean(findings, "allow_failure");
    let interruptible = entry.boolean(findings, "interruptible");
    let when = entry.value("when").and_then(|node| {
        let word = node.to_text().filter(|word| place.whens().contains(&word.as_str()));
        if word.is_none() {
            let shown = node.to_text().unwrap_or_else(|| "list".to_owned());
            findings.invalid(entry, "when", &format!("unknown value: {shown}"));
        }
        word
    });
    entry.allowed_keys(findings, place.keys());
    if findings.count() > before {
        return None;
    }
    let rule = Rule {
        condition,
        changes: entry.child("changes").and_then(|child| changes(&child, findings)),
        exists: entry.child("exists").and_then(|child| exists(&child, findings)),
        when,
        start_in,
        allow_failure,
        interruptible,
        variables: entry
            .child("variables")
            .map(|child| variables::parse(&child, findings, variables::Allowed::Plain))
            .unwrap_or_default(),
        needs: entry.child("needs").and_then(|child| needs::parse(&child, findings, needs::IN_RULE)),
        auto_cancel: entry
            .child("auto_cancel")
            .map(|child| workflow::auto_cancel(&child, findings))
            .unwrap_or_default(),
        only_when: mapping.len() == 1 && entry.has("when"),
        span: entry.node.span,
    };
    (findings.count() == before).then_some(rule)
}

fn condition(entry: &Entry<'_>, findings: &mut Findings) -> Option<Expr> {
    let node = entry.value("if")?;
    let reason = match node.as_str().map(expr::parse) {
        Some(Ok(expr)) => return Some(expr),
        Some(Err(error)) => Some(error.to_string()),
        None => None,
    };
    findings.invalid(entry, "if", "invalid expression syntax");
    if let (Some(reason), Some(last)) = (reason, findings.diagnostics.last_mut())
        && let Some(label) = last.labels.first_mut()
    {
        label.text = reason;
    }
    None
}

fn changes(entry: &Entry<'_>, findings: &mut Findings) -> Option<Changes> {
    match &entry.node.value {
        Value::Sequence(_) => {
            let paths = globs(entry, findings, "config", entry.node)?;
            Some(Changes { paths, compare_to: None })
        }
        Value::Mapping(_) => {
            entry.allowed_keys(findings, &["paths", "compare_to"]);
            entry.required_keys(findings, &["paths"]);
            let paths = globs(entry, findings, "paths", entry.value("paths")?)?;
            Some(Changes { paths, compare_to: entry.string(findings, "compare_to") })
        }
        _ => {
            findings.unsupported(entry, "should be an array or a hash");
            None
        }
    }
}

fn exists(entry: &Entry<'_>, findings: &mut Findings) -> Option<Exists> {
    match &entry.node.value {
        Value::String(path) => Some(Exists { paths: vec![path.clone()], project: None, git_ref: None }),
        Value::Sequence(_) => {
            let paths = globs(entry, findings, "config", entry.node)?;
            Some(Exists { paths, project: None, git_ref: None })
        }
        Value::Mapping(_) => {
            entry.allowed_keys(findings, &["paths", "project", "ref"]);
            entry.required_keys(findings, &["paths"]);
            if entry.has("ref") {
                entry.required_keys(findings, &["project"]);
            }
            let git_ref = entry.string(findings, "ref");
            let paths = globs(entry, findings, "paths", entry.value("paths")?)?;
            Some(Exists { paths, project: entry.string(findings, "project"), git_ref })
        }
        _ => {
            findings.unsupported(entry, "should be a string, an array of strings, or a hash");
            None
        }
    }
}

fn globs(entry: &Entry<'_>, findings: &mut Findings, attribute: &str, node: &Node) -> Option<Vec<String>> {
    let Some(paths) = strings_of(node) else {
        findings.invalid(entry, attribute, "should be an array of strings");
        return None;
    };
    if paths.len() > RULE_GLOBS {
        findings.invalid(entry, attribute, &format!("has too many entries (maximum {RULE_GLOBS})"));
        return None;
    }
    Some(paths)
}

#[cfg(test)]
mod tests {
    use crate::testing::errors;

    #[test]
    fn wrong_rules_are_refused() {
        let at = "jobs:rspec:rules";
        for (rules, expected) in [
            ("[]", " config can't be blank"),
            ("[{if: '$A == '}]", ":rule if invalid expression syntax"),
            ("[{if: 1}]", ":rule if invalid expression syntax"),
            ("[{when: x}]", ":rule when unknown value: x"),
            ("[{x: y}]", ":rule config contains unknown keys: x"),
            ("[{start_in: 1 day}]", ":rule config contains disallowed keys: start_in"),
            ("[{when: delayed}]", ":rule start in can't be blank"),
            ("[{when: delayed, start_in: 2 weeks}]", ":rule start in should not exceed the limit"),
            ("[{allow_failure: {exit_codes: 1}}]", ":rule allow failure should be a boolean value"),
            ("[{changes: a}]", ":rule:changes should be an array or a hash"),
            ("[{changes: {compare_to: a}}]", ":rule:changes config missing required keys: paths"),
            ("[{exists: 1}]", ":rule:exists should be a string, an array of strings, or a hash"),
            ("[{exists: {paths: [a], ref: b}}]", ":rule:exists config missing required keys: project"),
            ("[{variables: {A: {value: b}}}]", ":rule:variables:a config must be a string"),
        ] {
            assert_eq!(errors(&format!("script: x\nrules: {rules}")), [format!("{at}{expected}")], "{rules}");
        }
        let expected = "jobs:rspec rules should be an array containing hashes and arrays of hashes";
        for rules in ["a", "[a]", "[[a]]"] {
            assert_eq!(errors(&format!("script: x\nrules: {rules}")), [expected], "{rules}");
        }
    }
}
