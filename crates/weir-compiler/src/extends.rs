//! `extends`: every top-level mapping takes what its parents hold. Source:
//! `lib/gitlab/ci/config/extendable/entry.rb`.

use std::collections::HashMap;

use weir_yaml::{Mapping, Node, Span, Value};

use crate::limits::{EXTENDS_LEVELS, EXTENDS_NODES};
use crate::merge::deep_merge;

/// Why `extends` cannot be resolved: GitLab's message and where.
#[derive(Debug)]
pub(crate) struct ExtendsError {
    pub(crate) message: String,
    pub(crate) span: Span,
}

/// Resolves every `extends` in place; the first mistake ends it.
pub(crate) fn resolve(config: &mut Mapping) -> Result<(), ExtendsError> {
    let names: Vec<String> = config
        .iter()
        .filter(|entry| extends_of(&entry.value).is_some())
        .filter_map(|entry| entry.name().map(str::to_owned))
        .collect();
    let mut resolver = Resolver { config, heights: HashMap::new(), nodes: 0 };
    let mut ancestors = Vec::new();
    for name in names {
        resolver.extend(&name, &mut ancestors)?;
    }
    Ok(())
}

/// The value of `extends`, if the node is a mapping that has it.
fn extends_of(node: &Node) -> Option<&Node> {
    node.as_mapping()?.get("extends")
}

/// The nodes of a tree.
fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::Sequence(items) => items.iter().map(count).sum(),
        Value::Mapping(mapping) => mapping.iter().map(|entry| count(&entry.value)).sum(),
        _ => 0,
    }
}

struct Resolver<'c> {
    config: &'c mut Mapping,
    /// How many levels of `extends` each resolved name has below it.
    heights: HashMap<String, usize>,
    /// How many nodes were copied.
    nodes: usize,
}

impl Resolver<'_> {
    /// Resolves one name and returns its height. `ancestors` are the names that extend it.
    fn extend(&mut self, name: &str, ancestors: &mut Vec<String>) -> Result<usize, ExtendsError> {
        let Some(extends) = self.config.get(name).and_then(extends_of) else { return Ok(0) };
        let span = extends.span;
        let fail = |text: String| Err(ExtendsError { message: format!("{name}: {text}"), span });
        let bases: Vec<String> = match &extends.value {
            Value::Sequence(items) => items.iter().filter_map(Node::to_text).collect(),
            Value::Null => Vec::new(),
            _ => extends.to_text().into_iter().collect(),
        };
        let listed = |bad: Vec<&str>| bad.join(", ");
        let unknown: Vec<&str> =
            bases.iter().map(String::as_str).filter(|base| !self.config.contains(base)).collect();
        if !unknown.is_empty() {
            return fail(format!("unknown keys in `extends` ({})", listed(unknown)));
        }
        let not_mappings: Vec<&str> = bases
            .iter()
            .map(String::as_str)
            .filter(|base| self.config.get(base).is_some_and(|node| node.as_mapping().is_none()))
            .collect();
        if !not_mappings.is_empty() {
            return fail(format!("invalid base hashes in `extends` ({})", listed(not_mappings)));
        }
        if ancestors.len() + self.heights.get(name).copied().unwrap_or(0) > EXTENDS_LEVELS {
            return fail("nesting too deep in `extends`".to_owned());
        }
        if ancestors.iter().any(|ancestor| ancestor == name) {
            return fail("circular dependency detected in `extends`".to_owned());
        }
        if let Some(height) = self.heights.get(name) {
            return Ok(*height + 1);
        }
        ancestors.push(name.to_owned());
        let mut merged = Mapping::default();
        let mut height = 0;
        for base in &bases {
            height = height.max(self.extend(base, ancestors)?);
            if let Some(base) = self.config.get(base).and_then(Node::as_mapping) {
                self.nodes += base.iter().map(|entry| count(&entry.value)).sum::<usize>();
                if self.nodes > EXTENDS_NODES {
                    return fail("The parsed YAML is too big".to_owned());
                }
                deep_merge(&mut merged, base.clone());
            }
        }
        ancestors.pop();
        if let Some(node) = self.config.get_mut(name)
            && let Value::Mapping(own) = std::mem::take(&mut node.value)
        {
            deep_merge(&mut merged, own);
            node.value = Value::Mapping(merged);
        }
        self.heights.insert(name.to_owned(), height);
        Ok(height + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    fn resolved(text: &str) -> Result<String, String> {
        let mut root = weir_yaml::parse(weir_yaml::FileId(0), text).expect("YAML").root;
        let Value::Mapping(config) = &mut root.value else { panic!("a mapping") };
        resolve(config).map_err(|error| error.message)?;
        Ok(weir_yaml::write(&root))
    }

    #[test]
    fn parents_merge_left_to_right_and_lists_are_replaced() {
        let text = "
.a: {script: [a], variables: {A: 1, B: 1}}
.b: {variables: {B: 2, C: 2}, tags: [x]}
job: {extends: [.a, .b], variables: {C: 3}, tags: [y]}
";
        insta::assert_snapshot!(resolved(text).expect("resolved"));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            ("a: {extends: b}", "a: unknown keys in `extends` (b)"),
            ("a: {extends: [x, y]}", "a: unknown keys in `extends` (x, y)"),
            ("b: text\na: {extends: b}", "a: invalid base hashes in `extends` (b)"),
            ("a: {extends: a}", "a: circular dependency detected in `extends`"),
            ("a: {extends: b}\nb: {extends: a}", "a: circular dependency detected in `extends`"),
        ] {
            assert_eq!(resolved(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn parents_cannot_be_copied_without_bound() {
        let keys: Vec<String> = (0..3_000).map(|n| format!("k{n}: {n}")).collect();
        let jobs: Vec<String> = (0..500).map(|n| format!("j{n}: {{extends: .a}}")).collect();
        let text = format!(".a: {{variables: {{{}}}}}\n{}", keys.join(", "), jobs.join("\n"));
        let error = resolved(&text).expect_err("too much");
        assert!(error.ends_with("The parsed YAML is too big"), "{error}");
    }

    #[test]
    fn a_chain_is_limited_whatever_the_order() {
        let chain = |length: usize, reverse: bool| {
            let mut lines: Vec<String> =
                (1..=length).map(|n| format!("j{n}: {{extends: j{}}}\n", n - 1)).collect();
            lines.push("j0: {script: x}\n".to_owned());
            if reverse {
                lines.reverse();
            }
            lines.iter().fold(String::new(), |mut text, line| {
                let _ = text.write_str(line);
                text
            })
        };
        for reverse in [false, true] {
            assert!(resolved(&chain(EXTENDS_LEVELS + 1, reverse)).is_ok());
            let error = resolved(&chain(EXTENDS_LEVELS + 2, reverse)).expect_err("too deep");
            assert!(error.ends_with("nesting too deep in `extends`"), "{error}");
        }
    }
}
