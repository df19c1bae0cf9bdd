//! Entries: a node, its location in GitLab's messages, and the checks that many keywords share.
//!
//! A message reads `<location> <attribute> <text>`, lower-cased as a whole. Source:
//! `lib/gitlab/config/entry/{node,validator,validators}.rb`.

use weir_yaml::{Mapping, Node, Span, Value};

use crate::diagnostic::{Diagnostic, Severity, Sources};
use crate::duration;

/// A node with its location in messages (`jobs:rspec:artifacts`).
#[derive(Debug, Clone)]
pub(crate) struct Entry<'a> {
    pub(crate) node: &'a Node,
    pub(crate) location: String,
    /// The key, for lack of which the node itself.
    pub(crate) key: Span,
}

impl<'a> Entry<'a> {
    /// The root, which has no location.
    pub(crate) fn root(node: &'a Node) -> Self {
        Self { node, location: String::new(), key: node.span }
    }

    /// The value at a key. Null counts as absent, as it does for GitLab's entries.
    pub(crate) fn child(&self, key: &str) -> Option<Self> {
        let entry = self.node.as_mapping()?.entry(key)?;
        (!entry.value.is_null()).then(|| self.within(key, &entry.value, entry.key.span))
    }

    /// An item of a list, named by its kind.
    pub(crate) fn item(&self, kind: &str, node: &'a Node) -> Self {
        self.within(kind, node, node.span)
    }

    /// A node below this one.
    pub(crate) fn within(&self, name: &str, node: &'a Node, key: Span) -> Self {
        let location =
            if self.location.is_empty() { name.to_owned() } else { format!("{}:{name}", self.location) };
        Self { node, location, key }
    }

    pub(crate) fn mapping(&self) -> Option<&'a Mapping> {
        self.node.as_mapping()
    }

    /// The value at a key, null included.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        self.mapping()?.get(key)
    }

    /// The value at a key unless it is null.
    pub(crate) fn value(&self, key: &str) -> Option<&'a Node> {
        self.get(key).filter(|node| !node.is_null())
    }

    /// Whether the key is there, whatever its value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
}

/// Everything found wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) sources: Sources,
    pub(crate) diagnostics: Vec<Diagnostic>,
    errors: usize,
}

impl Findings {
    /// How many errors there are: compare to see whether a check found something.
    pub(crate) const fn count(&self) -> usize {
        self.errors
    }

    /// Whether there is an error among them.
    pub(crate) const fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// An error in GitLab's exact words.
    pub(crate) fn error(&mut self, code: &'static str, span: Option<Span>, message: impl Into<String>) {
        self.add(Severity::Error, code, span, message.into());
    }

    /// Any finding.
    pub(crate) fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        span: Option<Span>,
        message: String,
    ) -> &mut Diagnostic {
        self.errors += usize::from(severity == Severity::Error);
        let labels = span.and_then(|span| self.sources.label(span, "")).into_iter().collect();
        self.diagnostics.push(Diagnostic { code, severity, message, labels, help: None });
        let last = self.diagnostics.len() - 1;
        &mut self.diagnostics[last]
    }

    /// An error about an attribute of an entry, pointing at its value or, for `config`, at the entry.
    pub(crate) fn invalid(&mut self, entry: &Entry<'_>, attribute: &str, text: &str) {
        let span = match entry.mapping().and_then(|mapping| mapping.entry(&attribute.replace(' ', "_"))) {
            Some(found) if attribute != "config" => found.value.span,
            _ => entry.node.span,
        };
        self.invalid_at("invalid-value", entry, attribute, text, span);
    }

    fn invalid_at(&mut self, code: &'static str, entry: &Entry<'_>, attribute: &str, text: &str, span: Span) {
        let span = if span.start == span.end { entry.key } else { span };
        let message = format!("{} {attribute} {text}", entry.location).to_lowercase();
        self.error(code, Some(span), message.trim_start());
    }

    /// An error that names the location only (`jobs:rspec:parallel should be an integer or a hash`).
    pub(crate) fn unsupported(&mut self, entry: &Entry<'_>, text: &str) {
        let message = format!("{} {text}", entry.location).to_lowercase();
        self.error("wrong-type", Some(entry.node.span), message);
    }
}

/// Checks that belong to `Entry`, but report to `Findings`.
impl<'a> Entry<'a> {
    /// Only these keys are known. One error names all others and points at each.
    pub(crate) fn allowed_keys(&self, findings: &mut Findings, allowed: &[&str]) {
        let Some(mapping) = self.mapping() else { return };
        let unknown: Vec<(String, Span)> = mapping
            .iter()
            .filter(|entry| !entry.name().is_some_and(|name| allowed.contains(&name)))
            .map(|entry| (entry.key.to_text().unwrap_or_default(), entry.key.span))
            .collect();
        if unknown.is_empty() {
            return;
        }
        let names: Vec<&str> = unknown.iter().map(|(name, _)| name.as_str()).collect();
        let text = format!("contains unknown keys: {}", names.join(", "));
        findings.invalid_at("unknown-key", self, "config", &text, unknown[0].1);
        let labels: Vec<_> =
            unknown.iter().filter_map(|(_, span)| findings.sources.label(*span, "unknown key")).collect();
        let help = names.iter().find_map(|name| closest(name, allowed));
        if let Some(last) = findings.diagnostics.last_mut() {
            last.labels = labels;
            last.help = help.map(|close| format!("did you mean `{close}`?"));
        }
    }

    /// At most one of these keys.
    pub(crate) fn exclusive_keys(&self, findings: &mut Findings, keys: &[&str]) {
        let present: Vec<&str> = self
            .mapping()
            .into_iter()
            .flat_map(Mapping::iter)
            .filter_map(|entry| entry.name())
            .filter(|name| keys.contains(name))
            .collect();
        if present.len() > 1 {
            let text = format!("these keys cannot be used together: {}", present.join(", "));
            findings.invalid(self, "config", &text);
        }
    }

    /// All of these keys.
    pub(crate) fn required_keys(&self, findings: &mut Findings, keys: &[&str]) {
        let missing: Vec<&str> = keys.iter().copied().filter(|key| !self.has(key)).collect();
        if !missing.is_empty() {
            let text = format!("missing required keys: {}", missing.join(", "));
            findings.invalid(self, "config", &text);
        }
    }

    /// The mapping, or an error.
    pub(crate) fn expect_mapping(&self, findings: &mut Findings) -> Option<&'a Mapping> {
        let mapping = self.mapping();
        if mapping.is_none() {
            findings.invalid(self, "config", "should be a hash");
        }
        mapping
    }

    /// The attribute as a text. Absent and null are fine.
    pub(crate) fn string(&self, findings: &mut Findings, key: &str) -> Option<String> {
        let node = self.value(key)?;
        if node.as_str().is_none() {
            findings.invalid(self, &key.replace('_', " "), "should be a string");
        }
        node.as_str().map(str::to_owned)
    }

    /// The attribute as a boolean.
    pub(crate) fn boolean(&self, findings: &mut Findings, key: &str) -> Option<bool> {
        if let Value::Bool(value) = self.value(key)?.value {
            return Some(value);
        }
        findings.invalid(self, &key.replace('_', " "), "should be a boolean value");
        None
    }

    /// The attribute as a list of texts.
    pub(crate) fn strings(&self, findings: &mut Findings, key: &str) -> Option<Vec<String>> {
        let list = strings_of(self.value(key)?);
        if list.is_none() {
            findings.invalid(self, &key.replace('_', " "), "should be an array of strings");
        }
        list
    }

    /// The attribute as one text or a list of texts.
    pub(crate) fn string_or_strings(&self, findings: &mut Findings, key: &str) -> Option<Vec<String>> {
        let node = self.value(key)?;
        let list = node.as_str().map(|text| vec![text.to_owned()]).or_else(|| strings_of(node));
        if list.is_none() {
            let attribute = key.replace('_', " ");
            findings.invalid(self, &attribute, "should be an array of strings or a string");
        }
        list
    }

    /// The attribute as one of a few words; `text` is the complaint.
    pub(crate) fn one_of(
        &self,
        findings: &mut Findings,
        key: &str,
        words: &[&str],
        text: &str,
    ) -> Option<String> {
        let node = self.value(key)?;
        match node.as_str() {
            Some(word) if words.contains(&word) => Some(word.to_owned()),
            _ => {
                findings.invalid(self, &key.replace('_', " "), text);
                None
            }
        }
    }

    /// The attribute as a duration of at most `limit` seconds.
    pub(crate) fn duration(&self, findings: &mut Findings, key: &str, limit: Option<u64>) -> Option<u64> {
        check_duration(self, findings, &key.replace('_', " "), self.value(key)?, limit)
    }

    /// The entry itself as a boolean.
    pub(crate) fn as_boolean(&self, findings: &mut Findings) -> Option<bool> {
        if let Value::Bool(value) = self.node.value {
            return Some(value);
        }
        findings.invalid(self, "config", "should be a boolean value");
        None
    }

    /// The entry itself as a text.
    pub(crate) fn as_string(&self, findings: &mut Findings) -> Option<String> {
        let text = self.node.as_str();
        if text.is_none() {
            findings.invalid(self, "config", "should be a string");
        }
        text.map(str::to_owned)
    }

    /// The entry itself as a list of texts.
    pub(crate) fn as_strings(&self, findings: &mut Findings) -> Option<Vec<String>> {
        let list = strings_of(self.node);
        if list.is_none() {
            findings.invalid(self, "config", "should be an array of strings");
        }
        list
    }
}

/// A duration text within a limit. Source: `DurationValidator`; numbers without quotes are refused.
pub(crate) fn check_duration(
    entry: &Entry<'_>,
    findings: &mut Findings,
    attribute: &str,
    node: &Node,
    limit: Option<u64>,
) -> Option<u64> {
    let seconds = node.as_str().and_then(duration::parse);
    if seconds.is_none() {
        findings.invalid(entry, attribute, "should be a duration");
    }
    if let Some(limit) = limit
        && seconds.is_none_or(|seconds| seconds > limit)
    {
        findings.invalid(entry, attribute, "should not exceed the limit");
    }
    seconds
}

/// The texts of a list that holds nothing else.
pub(crate) fn strings_of(node: &Node) -> Option<Vec<String>> {
    node.as_sequence()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Ruby's `blank?`: null, false, and empty or white texts and collections.
pub(crate) fn is_blank(node: &Node) -> bool {
    match &node.value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Sequence(items) => items.is_empty(),
        Value::Mapping(mapping) => mapping.is_empty(),
        _ => false,
    }
}

/// The known word that differs least from `word`, if it differs little.
fn closest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    /// Longer words are not typing errors of keywords.
    const MAX_WORD: usize = 40;
    if word.len() > MAX_WORD {
        return None;
    }
    known
        .iter()
        .map(|candidate| (edit_distance(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 2 && *distance < candidate.len().div_ceil(2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be changed, added, removed or swapped with their neighbour.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    rows[0] = (0..=b.len()).collect();
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

/// The tree as JSON, for what is carried along as it stands.
pub(crate) fn to_json(node: &Node) -> serde_json::Value {
    use serde_json::Value as Json;
    match &node.value {
        Value::Null | Value::Reference(_) => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(number) => Json::from(*number),
        Value::Float(number) => Json::from(*number),
        Value::BigInt(text) | Value::String(text) | Value::Symbol(text) => Json::String(text.clone()),
        Value::Sequence(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Mapping(mapping) => Json::Object(
            mapping
                .iter()
                .map(|entry| (entry.key.to_text().unwrap_or_default(), to_json(&entry.value)))
                .collect(),
        ),
    }
}
