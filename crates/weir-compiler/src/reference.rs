//! `!reference [job, key]`: a copy of another part of the configuration. Source:
//! `lib/gitlab/ci/config/yaml/tags/{base,reference,resolver}.rb`.

use weir_yaml::{Mapping, Node, Span, Value};

use crate::limits::REFERENCE_NODES;

/// Why a reference cannot be resolved: GitLab's message and where.
#[derive(Debug)]
pub(crate) struct ReferenceError {
    pub(crate) message: String,
    pub(crate) span: Span,
}

/// Resolves every reference in place.
pub(crate) fn resolve(config: &mut Mapping) -> Result<(), ReferenceError> {
    if !config.iter().any(|entry| has_reference(&entry.value)) {
        return Ok(());
    }
    let original = config.clone();
    let mut resolver = Resolver { config: &original, open: Vec::new(), nodes: 0 };
    for entry in config {
        if has_reference(&entry.value) {
            entry.value = resolver.node(&entry.value)?;
        }
    }
    Ok(())
}

fn has_reference(node: &Node) -> bool {
    match &node.value {
        Value::Reference(_) => true,
        Value::Sequence(items) => items.iter().any(has_reference),
        Value::Mapping(mapping) => mapping.iter().any(|entry| has_reference(&entry.value)),
        _ => false,
    }
}

struct Resolver<'c> {
    config: &'c Mapping,
    /// The references that are being resolved, by their place.
    open: Vec<Span>,
    nodes: usize,
}

impl Resolver<'_> {
    fn node(&mut self, node: &Node) -> Result<Node, ReferenceError> {
        self.nodes += 1;
        if self.nodes > REFERENCE_NODES {
            return Err(ReferenceError { message: "The parsed YAML is too big".to_owned(), span: node.span });
        }
        let value = match &node.value {
            Value::Reference(target) => return self.reference(target, node.span),
            Value::Sequence(items) => {
                Value::Sequence(items.iter().map(|item| self.node(item)).collect::<Result<_, _>>()?)
            }
            Value::Mapping(mapping) => {
                let mut resolved = mapping.clone();
                for entry in &mut resolved {
                    entry.value = self.node(&entry.value)?;
                }
                Value::Mapping(resolved)
            }
            other => other.clone(),
        };
        Ok(Node::new(node.span, value))
    }

    fn reference(&mut self, target: &Value, span: Span) -> Result<Node, ReferenceError> {
        let fail = |text: &str| {
            let message = format!("!reference {} {text}", inspect(target));
            Err(ReferenceError { message, span })
        };
        let path: Option<Vec<&str>> = match target {
            Value::Sequence(items) if !items.is_empty() => items.iter().map(Node::as_str).collect(),
            _ => None,
        };
        let Some(path) = path else { return fail("is not valid") };
        if self.open.contains(&span) {
            return fail("is part of a circular chain");
        }
        let mut found = self.config.get(path[0]);
        for key in &path[1..] {
            found = found.and_then(Node::as_mapping).and_then(|mapping| mapping.get(key));
        }
        let Some(found) = found else { return fail("could not be found") };
        self.open.push(span);
        let resolved = self.node(found)?;
        self.open.pop();
        if matches!(resolved.value, Value::Null | Value::Bool(false)) {
            return fail("could not be found");
        }
        Ok(resolved)
    }
}

/// A value as Ruby's `inspect` shows it.
fn inspect(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::String(text) => format!("{text:?}"),
        Value::Symbol(name) => format!(":{name}"),
        Value::Sequence(items) => {
            let items: Vec<String> = items.iter().map(|item| inspect(&item.value)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Mapping(mapping) => {
            let entries: Vec<String> = mapping
                .iter()
                .map(|entry| format!("{}=>{}", inspect(&entry.key.value), inspect(&entry.value.value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Reference(inner) => format!("!reference {}", inspect(inner)),
        other => other.to_text().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Result<String, String> {
        let mut root = weir_yaml::parse(weir_yaml::FileId(0), text).expect("YAML").root;
        let Value::Mapping(config) = &mut root.value else { panic!("a mapping") };
        resolve(config).map_err(|error| error.message)?;
        Ok(weir_yaml::write(&root))
    }

    #[test]
    fn references_nest_and_see_each_other() {
        let text = "
.a: {script: [one, !reference [.b, script]]}
.b: {script: [two], variables: {A: 1}}
job:
  script: [!reference [.a, script], three]
  variables: !reference [.b, variables]
";
        insta::assert_snapshot!(resolved(text).expect("resolved"));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            ("a: {b: !reference [x, y]}", r#"!reference ["x", "y"] could not be found"#),
            ("x: {y: false}\na: {b: !reference [x, y]}", r#"!reference ["x", "y"] could not be found"#),
            ("x: text\na: {b: !reference [x, y]}", r#"!reference ["x", "y"] could not be found"#),
            ("a: {b: !reference [a, b]}", r#"!reference ["a", "b"] is part of a circular chain"#),
            (
                "a: {b: !reference [c, d]}\nc: {d: [!reference [a, b]]}",
                r#"!reference ["c", "d"] is part of a circular chain"#,
            ),
            ("a: {b: !reference x}", r#"!reference "x" is not valid"#),
            ("a: {b: !reference []}", "!reference [] is not valid"),
            ("a: {b: !reference [1]}", "!reference [1] is not valid"),
        ] {
            assert_eq!(resolved(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn references_cannot_grow_without_bound() {
        use std::fmt::Write as _;
        let mut text = "j0: {s: [x, x]}\n".to_owned();
        for n in 1..40 {
            let before = n - 1;
            let _ = writeln!(text, "j{n}: {{s: [!reference [j{before}, s], !reference [j{before}, s]]}}");
        }
        assert_eq!(resolved(&text), Err("The parsed YAML is too big".to_owned()));
    }
}
