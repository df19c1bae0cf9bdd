//! `include`: other files below this one. Source: `lib/gitlab/ci/config/external/`.
//!
//! A file's own content goes on top of what it includes; a nested include is complete before it takes part.

use std::collections::HashSet;

use weir_yaml::{FileId, Mapping, Node, Span, Value, parse_at, split_documents};

use crate::compile::{Answer, Facts, Request};
use crate::diagnostic::Severity;
use crate::entry::{Entry, Findings, strings_of, to_json};
use crate::inputs::{self, Problem, from_json};
use crate::interpolation::interpolate;
use crate::keywords::rules::{self, Place};
use crate::limits::{INCLUDES, INPUTS, TOTAL_BYTES};
use crate::merge::deep_merge;
use crate::regexp::Regexp;
use crate::rules::{Outcome, Rules};
use crate::vars::{References, Variables, expand};

/// GitLab's words for values that a file has no use for.
const INPUTS_WITHOUT_HEADER: &str =
    "Given inputs not defined in the `spec` section of the included configuration file";
const KINDS: [&str; 6] = ["local", "project", "remote", "template", "artifact", "component"];

/// Reads a file and all it includes.
pub(crate) struct Loader<'a> {
    pub(crate) facts: &'a mut Facts,
    pub(crate) findings: &'a mut Findings,
    pub(crate) variables: Variables,
    /// Whether the configuration is a child pipeline's: it may include artifacts of its parent.
    child: bool,
    files: usize,
    bytes: usize,
    /// Local files that a wildcard is not to include again.
    local: HashSet<String>,
}

/// Whose files `local` means.
#[derive(Debug, Clone)]
enum Scope {
    Own,
    Project { project: String, git_ref: Option<String> },
    Nobody,
}

/// A file to include.
struct File {
    request: Request,
    /// Its kind and location, for messages.
    kind: &'static str,
    location: String,
    scope: Scope,
    /// Values for its inputs.
    inputs: Vec<(String, Node)>,
}

/// The reading ended: with an error that is among the findings.
pub(crate) struct Stopped;

type Loaded = Result<Option<Mapping>, Stopped>;

impl<'a> Loader<'a> {
    pub(crate) fn new(
        facts: &'a mut Facts,
        findings: &'a mut Findings,
        variables: Variables,
        child: bool,
    ) -> Self {
        Self { facts, findings, variables, child, files: 0, bytes: 0, local: HashSet::new() }
    }

    /// The merged tree of the file at `path`; none while facts are missing.
    pub(crate) fn root(&mut self, path: &str, inputs: &[(String, serde_json::Value)]) -> Loaded {
        let Some(answer) = self.facts.get(&Request::LocalFile { path: path.to_owned() }) else {
            return Ok(None);
        };
        let text = match answer.clone() {
            Answer::File(Some(text)) => text,
            Answer::FileError(message) => return self.stop(None, message),
            Answer::File(None) | Answer::Paths(_) | Answer::Ids(_) => {
                return self.stop(None, "Missing CI config file");
            }
        };
        let file = self.findings.sources.add(path, &text);
        if text.trim().is_empty() {
            return self.stop(None, "Please provide content of .gitlab-ci.yml");
        }
        self.bytes = text.len();
        self.local.insert(path.to_owned());
        if inputs.len() > INPUTS {
            return self.stop(None, format!("There cannot be more than {INPUTS} inputs"));
        }
        let given: Vec<(String, Node)> =
            inputs.iter().map(|(name, value)| (name.clone(), from_json(value, Span::default()))).collect();
        match self.content(file, &text, None, &given)? {
            Some(content) => self.complete(content, &Scope::Own),
            None => self.stop(Some(Span::new(file, 0, 0)), "Invalid configuration format"),
        }
    }

    fn stop<T>(&mut self, span: Option<Span>, message: impl Into<String>) -> Result<T, Stopped> {
        self.findings.error("include", span, message);
        Err(Stopped)
    }

    /// The content document of a text with the inputs filled in; none if it is no mapping. `location` is that of
    /// an included file.
    fn content(
        &mut self,
        file: FileId,
        text: &str,
        location: Option<&str>,
        given: &[(String, Node)],
    ) -> Result<Option<Mapping>, Stopped> {
        let mut roots = Vec::new();
        for part in split_documents(text) {
            let root = self.document(file, part, location)?;
            if !root.is_null() {
                roots.push(root);
            }
        }
        let mut roots = roots.into_iter();
        let Some(first) = roots.next() else { return Ok(None) };
        let spec = first.as_mapping().and_then(|mapping| mapping.entry("spec"));
        let (Some(spec), Some(content)) = (spec, roots.next()) else {
            if given.is_empty() {
                return Ok(into_mapping(first));
            }
            return self
                .stop_by(location, &[Problem { span: None, message: INPUTS_WITHOUT_HEADER.to_owned() }]);
        };
        let Some(content) = into_mapping(content) else { return Ok(None) };
        let header = Entry { node: &spec.value, location: "header:spec".to_owned(), key: spec.key.span };
        let inputs = match inputs::resolve(&header, given, self.findings) {
            Ok(inputs) => inputs,
            Err(problems) => return self.stop_by(location, &problems),
        };
        match interpolate(content, &inputs, &self.variables) {
            Ok(content) => Ok(Some(content)),
            Err(problem) => self.stop_by(location, &[problem]),
        }
    }

    /// Stops with up to three problems in one message, as GitLab tells them; the labels show all of them.
    fn stop_by<T>(&mut self, location: Option<&str>, problems: &[Problem]) -> Result<T, Stopped> {
        let Some(first) = problems.first() else { return Err(Stopped) };
        let messages: Vec<&str> = problems.iter().take(3).map(|problem| problem.message.as_str()).collect();
        let message = match location {
            Some(location) => format!("`{location}`: {}", messages.join(", ")),
            None => messages.join(", "),
        };
        let more = problems
            .iter()
            .skip(1)
            .filter_map(|problem| self.findings.sources.label(problem.span?, problem.message.as_str()));
        let more: Vec<_> = more.collect();
        self.findings.add(Severity::Error, "inputs", first.span, message).labels.extend(more);
        Err(Stopped)
    }

    fn document(
        &mut self,
        file: FileId,
        part: weir_yaml::DocumentText<'_>,
        location: Option<&str>,
    ) -> Result<Node, Stopped> {
        match parse_at(file, part.text, part.offset) {
            Ok(parsed) => {
                for weir_yaml::Remark::DuplicateKey { key, first, second } in parsed.remarks {
                    let message = format!("the key `{key}` stands twice; the later value wins");
                    let label = self.findings.sources.label(first, "this value is lost");
                    let remark = self.findings.add(Severity::Remark, "duplicate-key", Some(second), message);
                    remark.labels.extend(label);
                }
                Ok(parsed.root)
            }
            Err(error) => {
                let message = match location {
                    Some(location) => format!("`{location}`: {error}"),
                    None => error.to_string(),
                };
                let span = Span::new(file, error.offset, error.offset);
                self.findings.error("yaml", Some(span), message);
                Err(Stopped)
            }
        }
    }

    /// Puts a file's content on top of what it includes.
    fn complete(&mut self, mut content: Mapping, scope: &Scope) -> Loaded {
        let Some(include) = content.remove("include") else { return Ok(Some(content)) };
        let mut merged = Mapping::default();
        let mut missing = false;
        let items: Vec<&Node> = match &include.value.value {
            Value::Null => Vec::new(),
            Value::Sequence(items) => items.iter().collect(),
            _ => vec![&include.value],
        };
        for item in items {
            let Some(files) = self.item(item, include.key.span, scope)? else {
                missing = true;
                continue;
            };
            for file in files {
                match self.file(&file, item.span)? {
                    Some(included) => deep_merge(&mut merged, included),
                    None => missing = true,
                }
            }
        }
        if missing {
            return Ok(None);
        }
        deep_merge(&mut merged, content);
        Ok(Some(merged))
    }

    /// The files that one item of `include` stands for.
    fn item(&mut self, item: &Node, key: Span, scope: &Scope) -> Result<Option<Vec<File>>, Stopped> {
        let span = Some(item.span);
        if let Some(text) = item.as_str() {
            let location = self.expand(text);
            if location.starts_with("http://") || location.starts_with("https://") {
                return Ok(Some(vec![self.remote(location, item.span)?]));
            }
            return self.local(&location, item.span, scope);
        }
        let Some(mapping) = item.as_mapping() else {
            return self.stop(span, "Each include must be a hash or a string");
        };
        let kinds: Vec<&str> = KINDS.into_iter().filter(|kind| mapping.contains(kind)).collect();
        let listed = KINDS.map(|kind| format!("`{kind}`")).join(", ");
        let kind = match kinds[..] {
            [kind] => kind,
            [] => {
                let shown = to_json(item);
                let message = format!(
                    "`{shown}` does not have a valid subkey for include. Valid subkeys are: {listed}"
                );
                return self.stop(span, message);
            }
            _ => return self.stop(span, format!("Each include must use only one of: {listed}")),
        };
        match self.included(item, key)? {
            None => return Ok(None),
            Some(false) => return Ok(Some(Vec::new())),
            Some(true) => {}
        }
        let value = mapping.get(kind);
        let Some(text) = value.and_then(Node::as_str) else {
            let shown = value.map(to_json).unwrap_or_default();
            return self.stop(span, format!("Included file `{shown}` needs to be a string"));
        };
        let location = self.expand(text);
        let inputs = self.inputs(mapping)?;
        let files = match kind {
            "local" => self.local(&location, item.span, scope),
            "remote" => Ok(Some(vec![self.remote(location, item.span)?])),
            "template" => Ok(Some(vec![self.template(location, item.span)?])),
            "project" => self.project(&location, mapping, item.span).map(Some),
            "artifact" => Ok(Some(vec![self.artifact(location, mapping, item.span)?])),
            _ => self.stop(span, format!("Component '{location}' - content not found")),
        }?;
        Ok(files.map(|files| files.into_iter().map(|file| File { inputs: inputs.clone(), ..file }).collect()))
    }

    /// The values that an item of `include` gives to its files.
    fn inputs(&mut self, item: &Mapping) -> Result<Vec<(String, Node)>, Stopped> {
        let Some(node) = item.get("inputs").filter(|node| !node.is_null()) else { return Ok(Vec::new()) };
        let Some(given) = node.as_mapping() else {
            return self.stop(Some(node.span), "Given inputs must be a hash");
        };
        let named = given.iter().map(|item| {
            let value = Node::new(item.value.span, item.value.value.clone());
            (item.key.to_text().unwrap_or_default(), value)
        });
        Ok(named.collect())
    }

    /// Whether the item's rules let it in; none while facts are missing.
    fn included(&mut self, item: &Node, key: Span) -> Result<Option<bool>, Stopped> {
        let entry = Entry { node: item, location: "include".to_owned(), key };
        let Some(child) = entry.child("rules") else { return Ok(Some(true)) };
        let Some(rules) = rules::parse(&child, self.findings, Place::Include) else { return Err(Stopped) };
        match (Rules { facts: self.facts, variables: &self.variables }).evaluate(&rules) {
            Outcome::Missing => Ok(None),
            Outcome::Match(rule) => Ok(Some(rule.when.as_deref() != Some("never"))),
            Outcome::NoMatch => Ok(Some(false)),
            Outcome::Error(message) => self.stop(Some(item.span), format!("include: {message}")),
        }
    }

    fn expand(&self, text: &str) -> String {
        expand(text, References::Blank, |name| self.variables.get(name))
    }

    fn check_extension(&mut self, location: &str, span: Span) -> Result<(), Stopped> {
        let extension = location.rsplit_once('.').map_or("", |(_, extension)| extension);
        if extension.eq_ignore_ascii_case("yml") || extension.eq_ignore_ascii_case("yaml") {
            return Ok(());
        }
        self.stop(Some(span), format!("Included file `{location}` does not have YAML extension!"))
    }

    fn local(&mut self, location: &str, span: Span, scope: &Scope) -> Result<Option<Vec<File>>, Stopped> {
        self.check_extension(location, span)?;
        let path = location.trim_start_matches('/').to_owned();
        let file = |request, location: String| File {
            request,
            kind: "Local",
            location,
            scope: scope.clone(),
            inputs: Vec::new(),
        };
        match scope {
            Scope::Nobody => self.stop(Some(span), format!("Local file `{location}` does not have project!")),
            Scope::Project { project, git_ref } => {
                let request =
                    Request::ProjectFile { project: project.clone(), git_ref: git_ref.clone(), path };
                Ok(Some(vec![file(request, location.to_owned())]))
            }
            Scope::Own if path.contains('*') => {
                let paths = match self.facts.get(&Request::RepositoryPaths) {
                    None => return Ok(None),
                    Some(Answer::Paths(Some(paths))) => paths.clone(),
                    Some(_) => Vec::new(),
                };
                let Ok(pattern) = Regexp::new(&wildcard(&path)) else { return Ok(Some(Vec::new())) };
                let mut found: Vec<String> = paths
                    .into_iter()
                    .filter(|path| pattern.is_match(path) && !self.local.contains(path))
                    .collect();
                found.sort_unstable();
                self.local.extend(found.iter().cloned());
                let request = |path: &String| Request::LocalFile { path: path.clone() };
                Ok(Some(found.into_iter().map(|path| file(request(&path), path)).collect()))
            }
            Scope::Own => {
                self.local.insert(path.clone());
                Ok(Some(vec![file(Request::LocalFile { path }, location.to_owned())]))
            }
        }
    }

    fn remote(&mut self, location: String, span: Span) -> Result<File, Stopped> {
        let host = location.strip_prefix("https://").or_else(|| location.strip_prefix("http://"));
        if host.is_none_or(|host| host.is_empty() || host.starts_with('/') || host.contains(' ')) {
            return self.stop(Some(span), format!("Remote file `{location}` does not have a valid address!"));
        }
        self.check_extension(location.split(['?', '#']).next().unwrap_or_default(), span)?;
        let request = Request::RemoteFile { url: location.clone() };
        Ok(File { request, kind: "Remote", location, scope: Scope::Nobody, inputs: Vec::new() })
    }

    fn template(&mut self, location: String, span: Span) -> Result<File, Stopped> {
        if !location.ends_with(".gitlab-ci.yml") {
            return self.stop(Some(span), format!("Template file `{location}` is not a valid location!"));
        }
        let request = Request::Template { name: location.clone() };
        Ok(File { request, kind: "Template", location, scope: Scope::Nobody, inputs: Vec::new() })
    }

    /// Source: `lib/gitlab/ci/config/external/file/artifact.rb`.
    fn artifact(&mut self, location: String, mapping: &Mapping, span: Span) -> Result<File, Stopped> {
        self.check_extension(&location, span)?;
        if !self.child {
            let message = "Including configs from artifacts is only allowed when triggering child pipelines";
            return self.stop(Some(span), message);
        }
        let job = mapping.get("job").and_then(Node::as_str).map(|text| self.expand(text)).unwrap_or_default();
        if job.is_empty() {
            return self.stop(Some(span), "Job must be provided when including configs from artifacts");
        }
        let request = Request::ArtifactFile { job, path: location.clone() };
        Ok(File { request, kind: "Artifact", location, scope: Scope::Own, inputs: Vec::new() })
    }

    fn project(&mut self, project: &str, mapping: &Mapping, span: Span) -> Result<Vec<File>, Stopped> {
        let paths = match mapping.get("file") {
            Some(Node { value: Value::String(path), .. }) => Some(vec![path.clone()]),
            Some(node) => strings_of(node),
            None => None,
        };
        let Some(paths) = paths else {
            let shown = mapping.get("file").map(to_json).unwrap_or_default();
            return self.stop(Some(span), format!("Included file `{shown}` needs to be a string"));
        };
        let git_ref = mapping.get("ref").and_then(Node::as_str).map(|text| self.expand(text));
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let location = self.expand(&path);
            self.check_extension(&location, span)?;
            let path = location.trim_start_matches('/').to_owned();
            let scope = Scope::Project { project: project.to_owned(), git_ref: git_ref.clone() };
            let request =
                Request::ProjectFile { project: project.to_owned(), git_ref: git_ref.clone(), path };
            files.push(File { request, kind: "Project", location, scope, inputs: Vec::new() });
        }
        Ok(files)
    }

    /// The merged tree of an included file; none while facts are missing.
    fn file(&mut self, file: &File, span: Span) -> Loaded {
        let span = Some(span);
        self.files += 1;
        if self.files > INCLUDES {
            return self.stop(span, format!("Maximum of {INCLUDES} nested includes are allowed!"));
        }
        let location = &file.location;
        let shown = match &file.request {
            Request::ProjectFile { project, .. } if file.kind == "Project" => {
                format!("Project `{project}` file `{location}`")
            }
            _ if file.kind == "Artifact" => format!("File `{location}`"),
            _ => format!("{} file `{location}`", file.kind),
        };
        let text = match self.facts.get(&file.request) {
            None => return Ok(None),
            Some(Answer::File(Some(text))) => text.clone(),
            Some(Answer::FileError(message)) => {
                let message = message.clone();
                return self.stop(span, message);
            }
            Some(_) if file.kind == "Artifact" => {
                return self.stop(span, format!("File `{location}` is empty!"));
            }
            Some(_) if file.kind == "Template" => {
                return self.stop(span, format!("Included file `{location}` is empty or does not exist!"));
            }
            Some(_) => {
                return self.stop(span, format!("{shown} does not exist!"));
            }
        };
        if text.trim().is_empty() {
            return self.stop(span, format!("{shown} is empty!"));
        }
        self.bytes += text.len();
        if self.bytes > TOTAL_BYTES {
            return self.stop(span, "Total size of combined CI/CD configuration is too big");
        }
        let path = match &file.request {
            Request::LocalFile { path } => path.as_str(),
            _ => location.as_str(),
        };
        let id = self.findings.sources.add(path, &text);
        match self.content(id, &text, Some(location), &file.inputs)? {
            Some(content) => self.complete(content, &file.scope),
            None => self.stop(span, format!("Included file `{location}` does not have valid YAML syntax!")),
        }
    }
}

fn into_mapping(node: Node) -> Option<Mapping> {
    match node.value {
        Value::Mapping(mapping) => Some(mapping),
        _ => None,
    }
}

/// The regular expression of a wildcard: `*` stays within a folder, `**/` is any folders, `**` is anything.
pub(crate) fn wildcard(pattern: &str) -> String {
    let mut regexp = String::from("^");
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("**/") {
            regexp.push_str("(?:.*/)?");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("**") {
            regexp.push_str(".*");
            rest = after;
        } else {
            if c == '*' {
                regexp.push_str("[^/]*");
            } else {
                if c.is_ascii_punctuation() && c != '/' && c != '_' && c != '-' {
                    regexp.push('\\');
                }
                regexp.push(c);
            }
            rest = &rest[c.len_utf8()..];
        }
    }
    regexp.push('$');
    regexp
}

#[cfg(test)]
mod tests {
    use crate::testing::{compiled_with, job_names};

    const JOB: &str = "b: {script: included}";

    #[test]
    fn included_content_lies_below_the_file_s_own() {
        let files = [
            ("a.yml", "variables: {A: a, B: a}\njob: {script: a, tags: [a]}\nstages: [x, test]"),
            ("b.yml", "include: a.yml\nvariables: {B: b, C: b}"),
        ];
        let compiled = compiled_with(
            "include: [b.yml]\nvariables: {C: own}\njob: {script: own}\nstages: [test]",
            &files,
        );
        insta::assert_snapshot!(compiled.merged_yaml.expect("merged"));
    }

    #[test]
    fn files_are_found_by_path_variable_wildcard_and_rule() {
        let files = [("ci/b.yml", JOB), ("ci/deep/c.yml", "c: {script: x}"), ("d.yml", "d: {script: x}")];
        for (include, expected) in [
            ("ci/b.yml", &["b", "own"][..]),
            ("[/ci/b.yml, {local: d.yml}]", &["b", "d", "own"]),
            ("{local: '$CI_DIR/b.yml'}", &["own"]),
            ("'ci/*.yml'", &["b", "own"]),
            ("'ci/**.yml'", &["b", "c", "own"]),
            ("'**/*.yml'", &["b", "c", "d", "own"]),
            ("'none/*.yml'", &["own"]),
            ("[{local: d.yml, rules: [{if: $NEVER}]}]", &["own"]),
            ("[{local: d.yml, rules: [{if: $CI_COMMIT_BRANCH}]}]", &["d", "own"]),
            ("[{local: d.yml, rules: [{exists: [ci/b.yml]}]}]", &["d", "own"]),
            ("[{local: d.yml, rules: [{when: never}]}]", &["own"]),
        ] {
            let include = include.replace("$CI_DIR", if expected == ["own"] { "gone/*" } else { "ci" });
            let compiled = compiled_with(&format!("include: {include}\nown: {{script: x}}"), &files);
            assert_eq!(job_names(&compiled), expected, "{include}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let files = [
            ("loop.yml", "include: loop.yml"),
            ("empty.yml", " "),
            ("list.yml", "[a]"),
            ("broken.yml", "a: b: c"),
            ("b.yml", JOB),
        ];
        for (include, expected) in [
            ("x.yml", "Local file `x.yml` does not exist!"),
            ("x.txt", "Included file `x.txt` does not have YAML extension!"),
            ("empty.yml", "Local file `empty.yml` is empty!"),
            ("list.yml", "Included file `list.yml` does not have valid YAML syntax!"),
            (
                "broken.yml",
                "`broken.yml`: (<unknown>): mapping values are not allowed in this context at line 1 column 5",
            ),
            ("loop.yml", "Maximum of 150 nested includes are allowed!"),
            ("[1]", "Each include must be a hash or a string"),
            (
                "{file: a.yml}",
                "`{\"file\":\"a.yml\"}` does not have a valid subkey for include. Valid subkeys are: `local`, \
                 `project`, `remote`, `template`, `artifact`, `component`",
            ),
            (
                "{local: a.yml, remote: b.yml}",
                "Each include must use only one of: `local`, `project`, `remote`, `template`, `artifact`, `component`",
            ),
            ("{template: x.yml}", "Template file `x.yml` is not a valid location!"),
            ("{local: b.yml, rules: [{when: manual}]}", "include:rules:rule when unknown value: manual"),
            ("{project: g/p, file: x.yml}", "Project `g/p` file `x.yml` does not exist!"),
        ] {
            let compiled = compiled_with(&format!("include: {include}\nown: {{script: x}}"), &files);
            assert_eq!(compiled.errors().collect::<Vec<_>>(), [expected], "{include}");
        }
    }
}
