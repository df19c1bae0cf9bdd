//! `spec:inputs`: what a file wants to be told, and what it is told.
//!
//! Sources: `lib/ci/inputs/`, `lib/gitlab/ci/config/header/`, `lib/gitlab/ci/config/entry/base_input.rb`.

use weir_yaml::{Node, Span, Value};

use crate::entry::{Entry, Findings};
use crate::expr;
use crate::limits::INPUT_OPTIONS;
use crate::regexp::Regexp;

/// The types of inputs, in the order of GitLab's messages.
const TYPES: [&str; 4] = ["array", "boolean", "number", "string"];

/// A value given for an input, or its default.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) value: Value,
}

/// What is wrong, and where it is written if it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) span: Option<Span>,
    pub(crate) message: String,
}

/// One input of a header.
struct Spec<'a> {
    name: String,
    key: Span,
    kind: &'a str,
    default: Option<&'a Node>,
    options: Option<&'a [Node]>,
    regex: Option<&'a str>,
    rules: Vec<Rule<'a>>,
}

/// One rule of an input.
struct Rule<'a> {
    condition: Option<&'a str>,
    default: Option<&'a Node>,
    options: Option<&'a [Node]>,
}

/// The values of the inputs that `spec` describes, each given or by default, in the order of the header.
///
/// # Errors
/// Everything that is wrong with the values. What is wrong with the header itself is among the findings, and the
/// result is empty.
pub(crate) fn resolve(
    spec: &Entry<'_>,
    given: &[(String, Node)],
    findings: &mut Findings,
) -> Result<Vec<Input>, Vec<Problem>> {
    let before = findings.count();
    let specs = header(spec, findings);
    if findings.count() > before {
        return Err(Vec::new());
    }
    let unknown: Vec<&(String, Node)> =
        given.iter().filter(|(name, _)| !specs.iter().any(|spec| spec.name == *name)).collect();
    let mut problems = Vec::new();
    if let Some((_, first)) = unknown.first() {
        let names: Vec<&str> = unknown.iter().map(|(name, _)| name.as_str()).collect();
        problems.push(Problem {
            span: place(first),
            message: format!("unknown input arguments: {}", names.join(", ")),
        });
    }
    let mut values: Vec<Input> = Vec::with_capacity(specs.len());
    for spec in &specs {
        let given = given.iter().find(|(name, _)| *name == spec.name).map(|(_, node)| node);
        let value = spec.value(given, &values, &mut problems);
        values.push(Input { name: spec.name.clone(), value });
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

/// Where a node is written; values that came with a request are not.
fn place(node: &Node) -> Option<Span> {
    (node.span != Span::default()).then_some(node.span)
}

fn header<'a>(spec: &Entry<'a>, findings: &mut Findings) -> Vec<Spec<'a>> {
    let mut specs = Vec::new();
    if spec.mapping().is_none() {
        findings.invalid(spec, "config", "should be a hash");
        return specs;
    }
    spec.allowed_keys(findings, &["inputs", "description"]);
    let Some(inputs) = spec.child("inputs") else { return specs };
    let Some(mapping) = inputs.expect_mapping(findings) else { return specs };
    for item in mapping {
        let name = item.key.to_text().unwrap_or_default();
        let entry = inputs.within(&name, &item.value, item.key.span);
        let named = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || !name.chars().all(named) {
            findings.invalid(&entry, "key", "must be letters, digits, '_' or '-'");
        }
        specs.extend(input(name, &entry, findings));
    }
    specs
}

fn input<'a>(name: String, entry: &Entry<'a>, findings: &mut Findings) -> Option<Spec<'a>> {
    let mut spec = Spec {
        name,
        key: entry.key,
        kind: "string",
        default: None,
        options: None,
        regex: None,
        rules: Vec::new(),
    };
    if entry.node.is_null() {
        return Some(spec);
    }
    entry.expect_mapping(findings)?;
    entry.allowed_keys(findings, &["default", "description", "options", "regex", "rules", "type"]);
    entry.exclusive_keys(findings, &["rules", "options"]);
    entry.exclusive_keys(findings, &["rules", "default"]);
    if let Some(node) = entry.value("type") {
        match TYPES.into_iter().find(|kind| node.as_str() == Some(kind)) {
            Some(kind) => spec.kind = kind,
            None => {
                let shown = node.to_text().unwrap_or_default();
                findings.invalid(entry, "type", &format!("unknown value: {shown}"));
            }
        }
    }
    spec.regex = entry.value("regex").and_then(Node::as_str);
    if entry.value("regex").is_some() && spec.regex.is_none() {
        findings.invalid(entry, "regex", "should be a string");
    }
    spec.options = options(entry, findings);
    spec.default = entry.get("default");
    if let Some(child) = entry.child("rules") {
        spec.rules = rules(&child, findings);
    }
    Some(spec)
}

fn options<'a>(entry: &Entry<'a>, findings: &mut Findings) -> Option<&'a [Node]> {
    let node = entry.value("options")?;
    let Some(options) = node.as_sequence() else {
        findings.invalid(entry, "options", "should be a array");
        return None;
    };
    if options.len() > INPUT_OPTIONS {
        findings.invalid(entry, "config", &format!("cannot define more than {INPUT_OPTIONS} options"));
    }
    if options.iter().any(Node::is_null) {
        findings.invalid(entry, "config", "options array cannot contain null values");
    }
    Some(options)
}

fn rules<'a>(entry: &Entry<'a>, findings: &mut Findings) -> Vec<Rule<'a>> {
    let Some(items) = entry.node.as_sequence() else {
        findings.invalid(entry, "config", "should be a array");
        return Vec::new();
    };
    let mut rules = Vec::with_capacity(items.len());
    for node in items {
        let item = entry.item("rule", node);
        if item.expect_mapping(findings).is_none() {
            continue;
        }
        item.allowed_keys(findings, &["if", "options", "default"]);
        item.string(findings, "if");
        let rule = Rule {
            condition: item.value("if").and_then(Node::as_str),
            default: item.get("default"),
            options: options(&item, findings),
        };
        match (rule.condition, rule.options, rule.default) {
            (Some(_), None, None) => {
                findings.invalid(&item, "config", "rule with 'if' must define 'options' or 'default'");
            }
            (None, None, _) => findings.invalid(&item, "config", "fallback rule must define 'options'"),
            _ => {}
        }
        rules.push(rule);
    }
    rules
}

impl Spec<'_> {
    /// The input's value; null, with a problem, if there is none.
    fn value(&self, given: Option<&Node>, others: &[Input], problems: &mut Vec<Problem>) -> Value {
        let rule = self.rule(others);
        // With rules an empty text means that nothing was chosen.
        let given =
            given.filter(|node| !(node.is_null() || !self.rules.is_empty() && node.as_str() == Some("")));
        let default = match rule {
            Some(rule) => rule.default.or(self.default),
            None => self.default,
        };
        let has_default = self.default.is_some()
            || self.rules.iter().any(|rule| rule.default.is_some() || rule.condition.is_none());
        if !has_default && given.is_none() {
            self.complain(Some(self.key), "required value has not been provided", problems);
            return Value::Null;
        }
        if let Some(default) = default.filter(|node| !node.is_null()) {
            self.check(&self.coerced(default), place(default), true, rule, problems);
        }
        if let Some(given) = given {
            self.check(&self.coerced(given), place(given).or(Some(self.key)), false, rule, problems);
        }
        given.or(default).map_or(Value::Null, |node| self.coerced(node))
    }

    /// The first rule that holds. Source: `lib/ci/inputs/rules_evaluator.rb`.
    fn rule(&self, others: &[Input]) -> Option<&Rule<'_>> {
        let lookup = |name: &str| {
            let name = name.strip_prefix("inputs.")?;
            let input = others.iter().find(|input| input.name == name)?;
            (input.value != Value::Null).then(|| shown(&input.value))
        };
        self.rules.iter().find(|rule| match rule.condition {
            None => true,
            Some(text) => expr::parse(text).is_ok_and(|condition| condition.eval(&lookup).is_truthful()),
        })
    }

    /// The value in the input's type: everything is a text for a string, and a text is read as JSON for the others.
    fn coerced(&self, node: &Node) -> Value {
        match (&node.value, self.kind) {
            (Value::Null, _) => Value::Null,
            (value, "string") => Value::String(shown(value)),
            (Value::String(text), _) => match serde_json::from_str(text) {
                Ok(json) => from_json(&json, node.span).value,
                Err(_) => node.value.clone(),
            },
            (value, _) => value.clone(),
        }
    }

    fn check(
        &self,
        value: &Value,
        span: Option<Span>,
        is_default: bool,
        rule: Option<&Rule<'_>>,
        problems: &mut Vec<Problem>,
    ) {
        let whose = if is_default { "default" } else { "provided" };
        let wrong = match (self.kind, value) {
            ("number", Value::Int(_) | Value::BigInt(_) | Value::Float(_))
            | ("boolean", Value::Bool(_))
            | ("array", Value::Sequence(_))
            | ("string", _) => None,
            ("number", _) => Some("a number"),
            ("boolean", _) => Some("a boolean"),
            _ => Some("an array"),
        };
        if let Some(wrong) = wrong {
            self.complain(span, &format!("{whose} value is not {wrong}"), problems);
        }
        if let Some(options) = rule.and_then(|rule| rule.options).or(self.options) {
            self.check_options(value, options, span, problems);
        }
        let Some(regex) = self.regex else { return };
        match value {
            Value::String(text) if self.kind == "string" => match Regexp::new(regex) {
                Ok(regexp) if regexp.is_match(text) => {}
                Ok(_) => {
                    let text = format!("{whose} value does not match required RegEx pattern");
                    self.complain(span, &text, problems);
                }
                Err(_) => self.complain(Some(self.key), "invalid regular expression", problems),
            },
            _ => self.complain(
                Some(self.key),
                "RegEx validation can only be used with string inputs",
                problems,
            ),
        }
    }

    fn check_options(
        &self,
        value: &Value,
        options: &[Node],
        span: Option<Span>,
        problems: &mut Vec<Problem>,
    ) {
        let is_option = |value: &Value| match value {
            Value::String(text) if self.kind == "string" => {
                options.iter().any(|option| shown(&option.value) == *text)
            }
            other => options.iter().any(|option| same(&option.value, other)),
        };
        let list = match self.kind {
            "number" => "the list of the allowed options",
            _ => "the list of allowed options",
        };
        let text = match (self.kind, value) {
            ("boolean", _) => "Options can only be used with string and number inputs".to_owned(),
            ("array", Value::Sequence(items)) => {
                let others = items.iter().filter(|item| !is_option(&item.value));
                let others: Vec<String> = others.map(|item| shown(&item.value)).collect();
                if others.is_empty() {
                    return;
                }
                format!("{} cannot be used because it is not in {list}", others.join(", "))
            }
            ("array", _) => return,
            (_, value) if is_option(value) => return,
            (_, value) => format!("`{}` cannot be used because it is not in {list}", shown(value)),
        };
        self.complain(span, &text, problems);
    }

    fn complain(&self, span: Option<Span>, text: &str, problems: &mut Vec<Problem>) {
        problems.push(Problem { span, message: format!("`{}` input: {text}", self.name) });
    }
}

/// Whether two values are the same, wherever they are written: 1 is 1.0.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(a), Value::Float(b)) | (Value::Float(b), Value::Int(a)) => {
            Value::Float(*b) == as_float(*a)
        }
        (Value::Sequence(a), Value::Sequence(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(&a.value, &b.value))
        }
        _ => a == b,
    }
}

#[expect(clippy::cast_precision_loss, reason = "Ruby compares an integer with a float so, too")]
fn as_float(number: i64) -> Value {
    Value::Float(number as f64)
}

/// Ruby's `to_s` of a value.
pub(crate) fn shown(value: &Value) -> String {
    value.to_text().unwrap_or_else(|| inspected(value))
}

/// Ruby's `inspect`.
fn inspected(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::String(text) => format!("{text:?}"),
        Value::Symbol(text) => format!(":{text}"),
        Value::Sequence(items) => {
            let items: Vec<String> = items.iter().map(|item| inspected(&item.value)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Mapping(mapping) => {
            let items: Vec<String> = mapping
                .iter()
                .map(|item| format!("{}: {}", shown(&item.key.value), inspected(&item.value.value)))
                .collect();
            format!("{{{}}}", items.join(", "))
        }
        other => other.to_text().unwrap_or_default(),
    }
}

/// A JSON value as a tree.
pub(crate) fn from_json(json: &serde_json::Value, span: Span) -> Node {
    use serde_json::Value as Json;
    let text = |text: &str| Value::String(text.to_owned());
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::Int(integer),
            (None, Some(float)) if !number.is_u64() => Value::Float(float),
            _ => Value::BigInt(number.to_string()),
        },
        Json::String(value) => text(value),
        Json::Array(items) => Value::Sequence(items.iter().map(|item| from_json(item, span)).collect()),
        Json::Object(fields) => Value::Mapping(
            fields
                .iter()
                .map(|(key, value)| weir_yaml::Entry {
                    key: Node::new(span, text(key)),
                    value: from_json(value, span),
                })
                .collect(),
        ),
    };
    Node::new(span, value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{Facts, compile_with};

    /// The script of the one job `rspec` whose script is `echo $[[ inputs.x ]]`, or the errors.
    fn script(header: &str, given: &[(&str, serde_json::Value)]) -> Result<Vec<String>, Vec<String>> {
        let text = format!("spec: {{inputs: {header}}}\n---\nrspec: {{script: ['$[[ inputs.x ]]']}}");
        let inputs = given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let compiled = compile_with(&text, &Facts { inputs, ..Facts::default() });
        let errors: Vec<String> = compiled.errors().map(str::to_owned).collect();
        match compiled.plan {
            Some(plan) => match plan.jobs.into_iter().next().map(|job| job.action) {
                Some(crate::plan::Action::Run(run)) => Ok(run.script),
                other => panic!("{other:?}"),
            },
            None => Err(errors),
        }
    }

    #[test]
    fn an_input_has_the_given_value_or_its_default() {
        for (header, given, expected) in [
            ("{x: }", &[("x", json!("a"))][..], &["a"][..]),
            ("{x: {default: b}}", &[], &["b"]),
            ("{x: {default: b}}", &[("x", json!("a"))], &["a"]),
            ("{x: {default: ''}}", &[], &[""]),
            // A text is whatever is given.
            ("{x: }", &[("x", json!(1.5))], &["1.5"]),
            ("{x: }", &[("x", json!(true))], &["true"]),
            ("{x: {type: array}}", &[("x", json!(["a", "b"]))], &["a", "b"]),
            // A text is read as JSON where no text is wanted.
            ("{x: {type: array}}", &[("x", json!("[\"a\", \"b\"]"))], &["a", "b"]),
            ("{x: {options: [a, b]}}", &[("x", json!("b"))], &["b"]),
            ("{x: {options: [1, 2]}}", &[("x", json!("2"))], &["2"]),
            ("{x: {regex: '^v\\d+$'}}", &[("x", json!("v12"))], &["v12"]),
            ("{x: {type: array, options: [a, b, c]}}", &[("x", json!(["a", "c"]))], &["a", "c"]),
        ] {
            let expected: Vec<String> = expected.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(script(header, given), Ok(expected), "{header} {given:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_input_is_said_in_gitlabs_words() {
        for (header, given, expected) in [
            ("{x: }", &[][..], "`x` input: required value has not been provided"),
            ("{x: {default: a}}", &[("y", json!(1)), ("z", json!(2))], "unknown input arguments: y, z"),
            ("{x: {type: number}}", &[("x", json!("a"))], "`x` input: provided value is not a number"),
            ("{x: {type: boolean}}", &[("x", json!("yes"))], "`x` input: provided value is not a boolean"),
            ("{x: {type: array}}", &[("x", json!("a"))], "`x` input: provided value is not an array"),
            ("{x: {type: number, default: a}}", &[], "`x` input: default value is not a number"),
            (
                "{x: {options: [a, b]}}",
                &[("x", json!("c"))],
                "`x` input: `c` cannot be used because it is not in the list of allowed options",
            ),
            (
                "{x: {type: number, options: [1, 2]}}",
                &[("x", json!(3))],
                "`x` input: `3` cannot be used because it is not in the list of the allowed options",
            ),
            (
                "{x: {regex: '^v'}}",
                &[("x", json!("1"))],
                "`x` input: provided value does not match required RegEx pattern",
            ),
            (
                "{x: {type: boolean, options: [true]}}",
                &[("x", json!(true))],
                "`x` input: Options can only be used with string and number inputs",
            ),
            (
                "{x: {type: number, regex: a}}",
                &[("x", json!(1))],
                "`x` input: RegEx validation can only be used with string inputs",
            ),
            ("{x: {type: hash}}", &[], "header:spec:inputs:x type unknown value: hash"),
            ("{x: {kind: a}}", &[], "header:spec:inputs:x config contains unknown keys: kind"),
            (
                "{x: , y: {type: number}, z: , w: }",
                &[("y", json!("a"))],
                "`x` input: required value has not been provided, `y` input: provided value is not a number, \
                 `z` input: required value has not been provided",
            ),
        ] {
            assert_eq!(script(header, given), Err(vec![expected.to_owned()]), "{header} {given:?}");
        }
    }

    #[test]
    fn rules_choose_options_and_default_by_the_inputs_before() {
        let header = "{cloud: {options: [aws, gcp]}, x: {rules: [\
             {if: '$[[ inputs.cloud ]] == \"aws\"', options: [eu, us], default: eu}, {options: [asia]}]}}";
        let given = |cloud: &str, x: Option<&str>| {
            let mut given = vec![("cloud", json!(cloud))];
            given.extend(x.map(|x| ("x", json!(x))));
            script(header, &given)
        };
        assert_eq!(given("aws", None), Ok(vec!["eu".to_owned()]));
        assert_eq!(given("aws", Some("us")), Ok(vec!["us".to_owned()]));
        assert_eq!(given("aws", Some("")), Ok(vec!["eu".to_owned()]));
        assert_eq!(given("gcp", Some("asia")), Ok(vec!["asia".to_owned()]));
        let wrong = "`x` input: `us` cannot be used because it is not in the list of allowed options";
        assert_eq!(given("gcp", Some("us")), Err(vec![wrong.to_owned()]));
    }

    #[test]
    fn at_most_twenty_inputs_are_given() {
        let names: Vec<String> = (0..21).map(|n| format!("i{n}")).collect();
        let given: Vec<(&str, serde_json::Value)> =
            names.iter().map(|name| (name.as_str(), json!(1))).collect();
        let wrong = "There cannot be more than 20 inputs".to_owned();
        assert_eq!(script("{x: {default: a}}", &given), Err(vec![wrong]));
    }
}
