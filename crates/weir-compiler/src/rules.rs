//! Which rule matches. Source: `lib/gitlab/ci/build/rules.rb` and `rules/rule/clause/*.rb`.

use crate::compile::{Answer, Facts, Request};
use crate::fnmatch::Glob;
use crate::keywords::rules::{Changes, Exists, Rule};
use crate::limits::GLOB_COMPARISONS;
use crate::vars::{Expansion, References, Variable, Variables, expand};

/// Evaluates rules with the variables of their place.
pub(crate) struct Rules<'a> {
    pub(crate) facts: &'a mut Facts,
    pub(crate) variables: &'a Variables,
}

/// What rules come to.
#[derive(Debug)]
pub(crate) enum Outcome<'r> {
    /// The first rule whose clauses all hold.
    Match(&'r Rule),
    /// None does.
    NoMatch,
    /// Facts are missing.
    Missing,
    /// A rule cannot be evaluated.
    Error(String),
}

impl Rules<'_> {
    /// The first rule that matches.
    pub(crate) fn evaluate<'r>(&mut self, rules: &'r [Rule]) -> Outcome<'r> {
        for rule in rules {
            match self.holds(rule) {
                Ok(Some(true)) => return Outcome::Match(rule),
                Ok(Some(false)) => {}
                Ok(None) => return Outcome::Missing,
                Err(message) => return Outcome::Error(message),
            }
        }
        Outcome::NoMatch
    }

    /// Whether all clauses of a rule hold; none while facts are missing.
    fn holds(&mut self, rule: &Rule) -> Result<Option<bool>, String> {
        if let Some(condition) = &rule.condition
            && !condition.eval(&|name| self.variables.value(name)).is_truthful()
        {
            return Ok(Some(false));
        }
        let changes = match &rule.changes {
            Some(changes) => self.changes(changes)?,
            None => Some(true),
        };
        if changes == Some(false) {
            return Ok(changes);
        }
        let exists = match &rule.exists {
            Some(exists) => self.exists(exists)?,
            None => Some(true),
        };
        Ok(changes.and(exists))
    }

    /// `changes`, also of `only` and `except`.
    pub(crate) fn changes(&mut self, changes: &Changes) -> Result<Option<bool>, String> {
        let expanded = Expanded::new(self.variables, References::Keep);
        let compare_to = changes.compare_to.as_deref().map(|text| expanded.expand(text));
        let paths = match self.facts.get(&Request::ChangedPaths { compare_to }) {
            None => return Ok(None),
            Some(Answer::FileError(_)) => {
                return Err("rules:changes:compare_to is not a valid ref".to_owned());
            }
            Some(Answer::Paths(Some(paths))) => paths,
            Some(_) => return Ok(Some(true)),
        };
        if paths.len().saturating_mul(changes.paths.len()) > GLOB_COMPARISONS {
            return Ok(Some(true));
        }
        let globs: Vec<Glob> = changes.paths.iter().map(|glob| Glob::new(&expanded.expand(glob))).collect();
        Ok(Some(paths.iter().any(|path| globs.iter().any(|glob| glob.matches(path)))))
    }

    fn exists(&mut self, exists: &Exists) -> Result<Option<bool>, String> {
        let expanded = Expanded::new(self.variables, References::Keep);
        let globs: Vec<String> = exists.paths.iter().map(|glob| expanded.expand(glob)).collect();
        let request = match &exists.project {
            None => Request::RepositoryPaths,
            Some(project) => Request::ProjectPaths {
                project: expanded.expand(project),
                git_ref: exists.git_ref.as_deref().map(|text| expanded.expand(text)),
            },
        };
        let paths = match self.facts.get(&request) {
            None => return Ok(None),
            Some(Answer::FileError(message)) => return Err(message.clone()),
            Some(Answer::Paths(Some(paths))) => paths,
            Some(_) => return Ok(Some(true)),
        };
        let root_only = globs.iter().all(|glob| !glob.contains('/') && !glob.contains("**"));
        let (patterns, plain): (Vec<&String>, Vec<&String>) =
            globs.iter().partition(|glob| glob.contains(['*', '?', '[', '{']));
        let found = paths.iter().any(|path| {
            plain.iter().any(|glob| path == *glob || (glob.ends_with('/') && path.starts_with(glob.as_str())))
        });
        if found {
            return Ok(Some(true));
        }
        let mut paths: Vec<&String> = paths.iter().filter(|path| !root_only || !path.contains('/')).collect();
        // The commonest form needs no pattern: any file with this ending.
        for pattern in &patterns {
            if let Some(ending) = pattern.strip_prefix("**/*")
                && ending.starts_with('.')
                && !ending.contains(['*', '?', '[', '{', '/'])
                && paths.iter().any(|path| path.ends_with(ending))
            {
                return Ok(Some(true));
            }
        }
        if paths.len().saturating_mul(patterns.len()) > GLOB_COMPARISONS {
            return Ok(Some(true));
        }
        let globs: Vec<Glob> = patterns.into_iter().map(|glob| Glob::new(glob)).collect();
        paths.retain(|path| globs.iter().any(|glob| glob.matches(path)));
        Ok(Some(!paths.is_empty()))
    }
}

/// Variables with their values expanded, made when the first text needs them.
pub(crate) struct Expanded<'v> {
    source: &'v Variables,
    unknown: References,
    values: std::cell::OnceCell<Vec<Variable>>,
}

impl<'v> Expanded<'v> {
    pub(crate) const fn new(source: &'v Variables, unknown: References) -> Self {
        Self { source, unknown, values: std::cell::OnceCell::new() }
    }

    /// The text with its references replaced by expanded values.
    pub(crate) fn expand(&self, text: &str) -> String {
        if !text.contains(['$', '%']) {
            return text.to_owned();
        }
        let values = self.values.get_or_init(|| {
            // A circle is reported with the job; here its variables stay as they are.
            let expansion = Expansion::server(self.unknown);
            self.source.expanded(expansion).unwrap_or_else(|_| self.source.iter().cloned().collect())
        });
        expand(text, self.unknown, |name| values.iter().rev().find(|variable| variable.key == name))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Facts, compile_with, job_names, when_of};

    #[test]
    fn the_first_matching_rule_decides() {
        for (rules, when) in [
            ("[{if: $CI_COMMIT_BRANCH}]", Some("on_success")),
            ("[{if: $NEVER}]", None),
            ("[{if: $NEVER, when: always}, {when: manual}]", Some("manual")),
            ("[{when: never}, {when: always}]", None),
            ("[[{if: $NEVER}], [[{when: always}]]]", Some("always")),
            ("[{if: '$JOB == \"1\"'}]", Some("on_success")),
            ("[{if: '$CI_JOB_NAME == \"rspec\"'}]", Some("on_success")),
            ("[{if: '$RULE', variables: {RULE: 1}}]", None),
            ("null", Some("on_success")),
        ] {
            let text =
                format!("rspec: {{script: x, variables: {{JOB: 1}}, rules: {rules}}}\nother: {{script: x}}");
            assert_eq!(when_of(&text, "rspec").as_deref(), when, "{rules}");
        }
        assert_eq!(
            when_of("rspec: {script: x, when: manual, rules: [{if: $CI_COMMIT_BRANCH}]}", "rspec").as_deref(),
            Some("manual"),
            "the job's `when` is the default of its rules"
        );
    }

    #[test]
    fn changes_and_exists_ask_for_paths() {
        let facts = Facts {
            changed: Some(vec!["docs/a.md", "src/main.rs"]),
            paths: Some(vec!["Cargo.toml", "docs/a.md", "src/main.rs"]),
            ..Facts::default()
        };
        for (rule, runs) in [
            ("changes: [docs/*]", true),
            ("changes: ['*.md']", false),
            ("changes: ['**/*.md']", true),
            ("changes: [$DIR/*]", true),
            ("changes: {paths: [docs/*]}", true),
            ("exists: [Cargo.toml]", true),
            ("exists: [main.rs]", false),
            ("exists: ['**/*.rs']", true),
            ("exists: ['*.rs']", false),
            ("exists: [docs/]", true),
            ("exists: src/main.rs", true),
            ("if: $NEVER, changes: [docs/*]", false),
            ("changes: [docs/*], exists: [gone]", false),
        ] {
            let text = format!(
                "variables: {{DIR: $SUB, SUB: docs}}\nother: {{script: x}}\nrspec: {{script: x, rules: [{{{rule}}}]}}"
            );
            let found = job_names(&compile_with(&text, &facts)).contains(&"rspec".to_owned());
            assert_eq!(found, runs, "{rule}");
        }
    }

    #[test]
    fn too_many_comparisons_count_as_a_match() {
        let many = vec!["a/b"; crate::limits::GLOB_COMPARISONS + 1];
        let facts = Facts { changed: Some(many.clone()), paths: Some(many), ..Facts::default() };
        for rule in ["changes: [x]", "exists: [x/*]"] {
            let text = format!("rspec: {{script: x, rules: [{{{rule}}}]}}");
            assert_eq!(job_names(&compile_with(&text, &facts)), ["rspec"], "{rule}");
        }
    }

    #[test]
    fn unknown_paths_count_as_changed() {
        let facts = Facts { changed: None, ..Facts::default() };
        let text = "rspec: {script: x, rules: [{changes: [a]}]}";
        assert_eq!(job_names(&compile_with(text, &facts)), ["rspec"]);
    }
}
