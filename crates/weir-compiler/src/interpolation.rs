//! `$[[ inputs.name | function ]]`: values of inputs in the keys and values of a file.
//!
//! Source: `lib/gitlab/ci/config/interpolation/`.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;
use weir_yaml::{Entry, Mapping, Node, Value};

use crate::inputs::{Input, Problem, shown};
use crate::limits::{
    BLOCK_BYTES, BLOCK_FUNCTIONS, BLOCK_INDICES, BLOCK_SEGMENTS, BLOCKS, INTERPOLATED_BYTES,
    INTERPOLATED_NODES,
};
use crate::vars::{References, Variables, expand};

/// A block. What stands in it begins and ends with something visible and stays on one line.
static BLOCK: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\$\[\[\s*(\S.*?\S)\s*\]\]").ok());
/// An index of a list.
static INDEX: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\[(\d+)\]$").ok());

/// Replaces every block of a tree.
///
/// # Errors
/// The first block that has no value, or a limit.
pub(crate) fn interpolate(
    mapping: Mapping,
    inputs: &[Input],
    variables: &Variables,
) -> Result<Mapping, Problem> {
    let mut interpolation = Interpolation { inputs, variables, blocks: HashMap::new(), nodes: 0 };
    interpolation.mapping(mapping)
}

struct Interpolation<'a> {
    inputs: &'a [Input],
    variables: &'a Variables,
    /// The value of each distinct block.
    blocks: HashMap<String, Value>,
    nodes: usize,
}

impl Interpolation<'_> {
    fn mapping(&mut self, mapping: Mapping) -> Result<Mapping, Problem> {
        mapping
            .into_iter()
            .map(|entry| Ok(Entry { key: self.node(entry.key)?, value: self.node(entry.value)? }))
            .collect()
    }

    fn node(&mut self, node: Node) -> Result<Node, Problem> {
        let Node { span, value } = node;
        let problem = |message: String| Problem { span: Some(span), message };
        self.nodes += 1;
        if self.nodes > INTERPOLATED_NODES {
            return Err(problem("config too large".to_owned()));
        }
        let value = match value {
            Value::Mapping(mapping) => Value::Mapping(self.mapping(mapping)?),
            Value::Sequence(items) => Value::Sequence(self.items(items)?),
            Value::Reference(inner) => {
                let inner = self.node(Node::new(span, *inner))?;
                Value::Reference(Box::new(inner.value))
            }
            Value::String(text) if text.len() > INTERPOLATED_BYTES => {
                return Err(problem("config node too large".to_owned()));
            }
            Value::String(text) if text.contains("$[[") => self.text(text).map_err(problem)?,
            other => other,
        };
        Ok(Node::new(span, value))
    }

    /// The items of a list. An item that is nothing but a block with a list becomes the items of that list.
    fn items(&mut self, items: Vec<Node>) -> Result<Vec<Node>, Problem> {
        let mut result = Vec::with_capacity(items.len());
        for item in items {
            let was_text = item.as_str().is_some();
            let node = self.node(item)?;
            match node.value {
                Value::Sequence(inner) if was_text => {
                    let span = node.span;
                    result.extend(inner.into_iter().map(|item| Node::new(span, item.value)));
                }
                value => result.push(Node::new(node.span, value)),
            }
        }
        Ok(result)
    }

    fn text(&mut self, text: String) -> Result<Value, String> {
        let Some(pattern) = BLOCK.as_ref() else { return Ok(Value::String(text)) };
        let mut result = String::new();
        let mut end = 0;
        for found in pattern.captures_iter(&text) {
            let (Some(block), Some(inner)) = (found.get(0), found.get(1)) else { continue };
            let value = self.block(block.as_str(), inner.as_str())?;
            if block.range() == (0..text.len()) {
                return Ok(value);
            }
            result.push_str(&text[end..block.start()]);
            result.push_str(&shown(&value));
            end = block.end();
            if result.len() > INTERPOLATED_BYTES {
                return Err("config node too large".to_owned());
            }
        }
        result.push_str(&text[end..]);
        Ok(Value::String(result))
    }

    fn block(&mut self, block: &str, inner: &str) -> Result<Value, String> {
        if let Some(value) = self.blocks.get(block) {
            return Ok(value.clone());
        }
        let mut parts = inner.split('|').map(str::trim);
        let access = parts.next().unwrap_or_default();
        let functions: Vec<&str> = parts.collect();
        let value = if access.split('.').next() == Some("matrix") {
            // Values of `parallel:matrix` are known only when its jobs are.
            Value::String(block.to_owned())
        } else {
            let value = self.access(access)?;
            if functions.len() > BLOCK_FUNCTIONS {
                return Err("too many functions in interpolation block".to_owned());
            }
            functions.into_iter().try_fold(value, |value, function| self.function(function, value))?
        };
        if self.blocks.len() == BLOCKS {
            return Err("too many interpolation blocks".to_owned());
        }
        self.blocks.insert(block.to_owned(), value.clone());
        Ok(value)
    }

    /// The value of `inputs.name` or `inputs.list[0]`.
    fn access(&self, access: &str) -> Result<Value, String> {
        const FORM: &str = "invalid pattern used for interpolation. valid pattern is $[[ inputs.input ]]";
        let segments: Vec<&str> = access.splitn(BLOCK_SEGMENTS, '.').collect();
        if access.len() > BLOCK_BYTES {
            return Err("maximum interpolation expression size exceeded".to_owned());
        }
        let unknown = |key: &str| Err(format!("unknown interpolation provided: `{key}` in `{access}`"));
        let (name, rest) = match segments[..] {
            ["inputs", name, ref rest @ ..] => (name, rest),
            [_] => return Err(FORM.to_owned()),
            [context, ..] => return unknown(context),
            [] => return Err(FORM.to_owned()),
        };
        let mut name = name;
        let mut indices = Vec::new();
        while let Some(found) = INDEX.as_ref().and_then(|index| index.captures(name)) {
            let (Some(whole), Some(number)) = (found.get(0), found.get(1)) else { break };
            indices.push(number.as_str().parse::<usize>().unwrap_or(usize::MAX));
            name = &name[..whole.start()];
            if indices.len() > BLOCK_INDICES {
                return Err(format!("too many array indices in `{access}`"));
            }
        }
        let Some(input) = self.inputs.iter().find(|input| input.name == name) else { return unknown(name) };
        if let Some(further) = rest.first() {
            return unknown(further);
        }
        let mut value = input.value.clone();
        for index in indices.into_iter().rev() {
            let Value::Sequence(mut items) = value else {
                return Err(format!("`{name}` is not an array in `{access}`"));
            };
            if index >= items.len() {
                return Err(format!(
                    "array index {index} out of bounds (size: {}) in `{access}`",
                    items.len()
                ));
            }
            value = items.swap_remove(index).value;
        }
        Ok(value)
    }

    fn function(&self, function: &str, value: Value) -> Result<Value, String> {
        let name = function.split('(').next().unwrap_or_default();
        let no_match = || {
            format!(
                "no function matching `{function}`: check that the function name, arguments, and types are correct"
            )
        };
        let failed = |text: &str| format!("error in `{name}` function: {text}");
        let arguments = function.strip_prefix(name).unwrap_or_default();
        let call = Call::parse(name, arguments).ok_or_else(no_match)?;
        let Value::String(text) = value else {
            return Err(failed(&format!("invalid input type: {name} can only be used with string inputs")));
        };
        Ok(match call {
            Call::ExpandVars => {
                let masked = std::cell::Cell::new(false);
                let expanded = expand(&text, References::Keep, |name| {
                    let variable = self.variables.get(name);
                    masked.set(masked.get() || variable.is_some_and(|variable| variable.masked));
                    variable
                });
                if masked.get() {
                    return Err(failed("variable expansion error: masked variables cannot be expanded"));
                }
                Value::String(expanded)
            }
            Call::Truncate { offset, length } => {
                Value::String(text.chars().skip(offset).take(length).collect())
            }
            Call::PosixEscape => Value::String(escaped(&text)),
            Call::PosixQuote => Value::String(format!("'{}'", text.replace('\'', r"'\''"))),
            Call::Split("") => return Err(failed("invalid argument: separator cannot be empty")),
            Call::Split(separator) => {
                let parts = text.split(separator).map(str::trim).filter(|part| !part.is_empty());
                let node = |part: &str| Node::new(weir_yaml::Span::default(), Value::String(part.to_owned()));
                Value::Sequence(parts.map(node).collect())
            }
        })
    }
}

/// A function with its arguments.
enum Call<'t> {
    ExpandVars,
    Truncate { offset: usize, length: usize },
    PosixEscape,
    PosixQuote,
    Split(&'t str),
}

impl<'t> Call<'t> {
    fn parse(name: &str, arguments: &'t str) -> Option<Self> {
        match (name, arguments) {
            ("expand_vars", "") => Some(Self::ExpandVars),
            ("posix_escape", "") => Some(Self::PosixEscape),
            ("posix_quote", "") => Some(Self::PosixQuote),
            ("truncate", _) => {
                let inner = arguments.strip_prefix('(')?;
                let (offset, length) = inner.strip_suffix(')').unwrap_or(inner).split_once(',')?;
                let number = |text: &str| {
                    let text = text.trim();
                    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                    digits.then(|| text.parse().unwrap_or(usize::MAX))
                };
                Some(Self::Truncate { offset: number(offset)?, length: number(length)? })
            }
            ("split", _) => {
                let separator = arguments.strip_prefix("('")?.strip_suffix("')")?;
                (!separator.contains('\'')).then_some(Self::Split(separator))
            }
            _ => None,
        }
    }
}

/// The text as a shell reads it back, by Ruby's `Shellwords.escape`.
fn escaped(text: &str) -> String {
    if text.is_empty() {
        return "''".to_owned();
    }
    let mut result = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => result.push_str("'\n'"),
            c if c.is_ascii_alphanumeric() || "_-.,:+/@".contains(c) => result.push(c),
            c => result.extend(['\\', c]),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{Facts, compile_with, compiled_with};
    use crate::vars::{Level, Variable};

    const HEADER: &str = "spec:\n  inputs:\n    text: {default: hello world}\n    number: {type: number, default: 3}\n    \
                          flag: {type: boolean, default: true}\n    list: {type: array, default: [a, b]}\n    \
                          name: {default: rspec}\n    ref: {default: $WHO-$NOBODY}\n---\n";

    fn config(content: &str) -> Result<serde_json::Value, Vec<String>> {
        let mut facts = Facts::default();
        facts.variables.push((Level::Project, Variable::private("WHO", "me")));
        facts.variables.push((Level::Project, Variable { masked: true, ..Variable::private("SECRET", "x") }));
        let compiled = compile_with(&format!("{HEADER}{content}"), &facts);
        let errors: Vec<String> = compiled.errors().map(str::to_owned).collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        let yaml = compiled.merged_yaml.unwrap_or_default();
        let node = weir_yaml::parse(weir_yaml::FileId(0), &yaml).unwrap().root;
        Ok(crate::entry::to_json(&node)["rspec"].take())
    }

    #[test]
    fn a_block_is_replaced_by_its_value() {
        for (content, expected) in [
            ("rspec: {script: '$[[ inputs.text ]]'}", json!({"script": "hello world"})),
            ("rspec: {script: '$[[inputs.text]]!'}", json!({"script": "hello world!"})),
            ("'$[[ inputs.name ]]': {script: x}", json!({"script": "x"})),
            // Alone it keeps its type, within a text it is a text.
            ("rspec: {script: x, parallel: '$[[ inputs.number ]]'}", json!({"script": "x", "parallel": 3})),
            (
                "rspec: {script: x, interruptible: '$[[ inputs.flag ]]'}",
                json!({"script": "x", "interruptible": true}),
            ),
            (
                "rspec: {script: 'n=$[[ inputs.number ]] f=$[[ inputs.flag ]]'}",
                json!({"script": "n=3 f=true"}),
            ),
            ("rspec: {script: '$[[ inputs.list ]]'}", json!({"script": ["a", "b"]})),
            ("rspec: {script: 'x $[[ inputs.list ]]'}", json!({"script": "x [\"a\", \"b\"]"})),
            ("rspec: {script: [x, '$[[ inputs.list ]]', y]}", json!({"script": ["x", "a", "b", "y"]})),
            ("rspec: {script: '$[[ inputs.list[1] ]]'}", json!({"script": "b"})),
            ("rspec: {script: '$[[ inputs.text | truncate(0,5) ]]'}", json!({"script": "hello"})),
            (
                "rspec: {script: '$[[ inputs.text | truncate( 6 , 99 ) | posix_quote ]]'}",
                json!({"script": "'world'"}),
            ),
            ("rspec: {script: 'x$[[ inputs.text | truncate(50,5) ]]'}", json!({"script": "x"})),
            ("rspec: {script: '$[[ inputs.text | posix_escape ]]'}", json!({"script": "hello\\ world"})),
            ("rspec: {script: '$[[ inputs.ref | expand_vars ]]'}", json!({"script": "me-$NOBODY"})),
            ("rspec: {script: \"$[[ inputs.text | split(' ') ]]\"}", json!({"script": ["hello", "world"]})),
            // No block.
            ("rspec: {script: '$[[ ]]'}", json!({"script": "$[[ ]]"})),
            ("rspec: {script: '$[[ a'}", json!({"script": "$[[ a"})),
        ] {
            assert_eq!(config(content), Ok(expected), "{content}");
        }
    }

    #[test]
    fn a_block_without_a_value_is_an_error() {
        for (block, expected) in [
            ("inputs.gone", "unknown interpolation provided: `gone` in `inputs.gone`"),
            ("other.text", "unknown interpolation provided: `other` in `other.text`"),
            ("inputs.text.more", "unknown interpolation provided: `more` in `inputs.text.more`"),
            ("text", "invalid pattern used for interpolation. valid pattern is $[[ inputs.input ]]"),
            ("inputs.list[2]", "array index 2 out of bounds (size: 2) in `inputs.list[2]`"),
            (
                "inputs.text | truncate",
                "no function matching `truncate`: check that the function name, arguments, and types are correct",
            ),
            (
                "inputs.number | truncate(1,2)",
                "error in `truncate` function: invalid input type: truncate can only be used with string inputs",
            ),
            (
                "inputs.text | posix_escape | posix_escape | posix_escape | posix_escape",
                "too many functions in interpolation block",
            ),
        ] {
            let found = config(&format!("rspec: {{script: \"$[[ {block} ]]\"}}"));
            assert_eq!(found, Err(vec![expected.to_owned()]), "{block}");
        }
    }

    #[test]
    fn a_masked_variable_is_not_written_into_the_file() {
        let text =
            "spec: {inputs: {x: {default: $SECRET}}}\n---\nrspec: {script: '$[[ inputs.x | expand_vars ]]'}";
        let mut facts = Facts::default();
        facts.variables.push((Level::Project, Variable { masked: true, ..Variable::private("SECRET", "x") }));
        let compiled = compile_with(text, &facts);
        let wrong =
            "error in `expand_vars` function: variable expansion error: masked variables cannot be expanded";
        assert_eq!(compiled.errors().collect::<Vec<_>>(), [wrong]);
    }

    #[test]
    fn an_included_file_gets_its_own_inputs() {
        let template = "spec: {inputs: {name: , stage: {default: test}}}\n---\n\
                        'build $[[ inputs.name ]]': {script: x, stage: '$[[ inputs.stage ]]'}";
        let files = [("t.yml", template), ("plain.yml", "x: {script: x}")];
        let compiled = compiled_with(
            "include: [{local: t.yml, inputs: {name: a}}, {local: t.yml, inputs: {name: b, stage: build}}]",
            &files,
        );
        let jobs: Vec<(String, usize)> =
            compiled.plan.unwrap().jobs.into_iter().map(|job| (job.name, job.stage)).collect();
        assert_eq!(jobs, [("build a".to_owned(), 1), ("build b".to_owned(), 0)]);
        for (include, expected) in [
            ("{local: t.yml}", "`t.yml`: `name` input: required value has not been provided"),
            ("{local: t.yml, inputs: {name: a, x: 1}}", "`t.yml`: unknown input arguments: x"),
            ("{local: t.yml, inputs: a}", "Given inputs must be a hash"),
            (
                "{local: plain.yml, inputs: {x: 1}}",
                "`plain.yml`: Given inputs not defined in the `spec` section of the included configuration file",
            ),
        ] {
            let compiled = compiled_with(&format!("include: {include}"), &files);
            assert_eq!(compiled.errors().collect::<Vec<_>>(), [expected], "{include}");
        }
    }

    #[test]
    fn problems_point_at_their_places() {
        let text = "spec: {inputs: {x: {default: 1}}}\n---\nrspec:\n  script: echo $[[ inputs.y ]]\n";
        let compiled = compile_with(text, &Facts::default());
        assert_eq!(
            compiled.diagnostics[0].to_string(),
            ".gitlab-ci.yml:4:11: unknown interpolation provided: `y` in `inputs.y`"
        );
    }
}
