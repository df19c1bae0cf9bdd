//! The compilation as a conversation: it says what it needs, the caller answers.

use std::collections::HashMap;

use weir_yaml::{Node, Span, Value};

use crate::diagnostic::{Diagnostic, Severity, Sources};
use crate::entry::Findings;
use crate::include::{Loader, Stopped};
use crate::keywords::{root, stages};
use crate::{Context, Plan, extends, graph, matrix, reference, seed};

/// A fact that the compiler needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Request {
    /// A file of the pipeline's commit.
    LocalFile {
        /// Its path from the repository's root, without a leading slash.
        path: String,
    },
    /// A file of another project of the instance.
    ProjectFile {
        /// The project's full path.
        project: String,
        /// Branch, tag or SHA; none means the default branch.
        git_ref: Option<String>,
        /// The file's path.
        path: String,
    },
    /// A file from elsewhere.
    RemoteFile {
        /// Its address.
        url: String,
    },
    /// A file out of a job's artifacts; the job belongs to the parent of the child pipeline that is to be made.
    ArtifactFile {
        /// The job's name.
        job: String,
        /// The file's path in the archive.
        path: String,
    },
    /// A template of the instance.
    Template {
        /// Its path below the templates, with `.gitlab-ci.yml`.
        name: String,
    },
    /// The paths that the pipeline's commit changes. Answered with [`Answer::Paths`].
    ChangedPaths {
        /// Compare with this ref instead of what was there before.
        compare_to: Option<String>,
    },
    /// All paths of the pipeline's commit. Answered with [`Answer::Paths`].
    RepositoryPaths,
    /// All paths of a commit of another project. Answered with [`Answer::Paths`] or [`Answer::FileError`].
    ProjectPaths {
        /// The project's full path.
        project: String,
        /// Branch, tag or SHA; none means the default branch.
        git_ref: Option<String>,
    },
    /// What identifies files of the pipeline's commit as they are there. Answered with [`Answer::Ids`].
    FileIds {
        /// Their paths.
        paths: Vec<String>,
        /// Which ids.
        of: FileId,
    },
}

/// What identifies a file as it is in a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileId {
    /// Its blob: the content.
    Blob,
    /// The last commit that changed it.
    Commit,
}

/// An answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A file's text; none if it does not exist.
    File(Option<String>),
    /// What was asked for cannot be had, and why, in GitLab's words; for changed paths: `compare_to` is no ref.
    FileError(String),
    /// Paths; none if they are unknown, which counts as changed.
    Paths(Option<Vec<String>>),
    /// Ids of the files that there are.
    Ids(Vec<String>),
}

/// What [`Compilation::step`] comes to.
#[derive(Debug)]
pub enum Step {
    /// The compiler cannot go on without these facts; answer with [`Compilation::supply`].
    Need(Vec<Request>),
    /// The end.
    Done(Box<Compiled>),
}

/// One compilation. Make it, then alternate [`step`](Self::step) and [`supply`](Self::supply) until it is done.
#[derive(Debug)]
pub struct Compilation {
    path: String,
    context: Context,
    facts: Facts,
    lint_only: bool,
}

/// The answers so far and the questions that came up.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    answers: HashMap<Request, Answer>,
    wanted: Vec<Request>,
}

impl Facts {
    /// The answer to a request; none notes the request for the next [`Step::Need`].
    pub(crate) fn get(&mut self, request: &Request) -> Option<&Answer> {
        if !self.answers.contains_key(request) && !self.wanted.contains(request) {
            self.wanted.push(request.clone());
        }
        self.answers.get(request)
    }
}

impl Compilation {
    /// Begins to compile the file at `path`. Without `text` its first request is for that file.
    pub fn new(path: &str, text: Option<&str>, context: Context) -> Self {
        let mut facts = Facts::default();
        if let Some(text) = text {
            let request = Request::LocalFile { path: path.to_owned() };
            facts.answers.insert(request, Answer::File(Some(text.to_owned())));
        }
        Self { path: path.to_owned(), context, facts, lint_only: false }
    }

    /// Begins to check a file as GitLab's linter does without a simulated pipeline: rules are not evaluated,
    /// and there is no plan in the end.
    pub fn lint(path: &str, text: Option<&str>, context: Context) -> Self {
        Self { lint_only: true, ..Self::new(path, text, context) }
    }

    /// Goes on as far as the facts allow.
    pub fn step(&mut self) -> Step {
        let compiled = self.attempt();
        match compiled {
            Some(compiled) if self.facts.wanted.is_empty() => Step::Done(Box::new(compiled)),
            _ => Step::Need(self.facts.wanted.clone()),
        }
    }

    /// Answers the requests of the last [`Step::Need`], in their order. Requests left without an answer are
    /// asked for again.
    pub fn supply(&mut self, answers: Vec<Answer>) {
        for (request, answer) in std::mem::take(&mut self.facts.wanted).into_iter().zip(answers) {
            self.facts.answers.insert(request, answer);
        }
    }

    /// One run over the facts at hand; none if some are missing. It starts afresh each time: rounds are few,
    /// and nothing can be stale.
    fn attempt(&mut self) -> Option<Compiled> {
        let mut findings = Findings::default();
        let mut outcome = Outcome { plan: None, refusal: None, merged_yaml: None };
        self.run(&mut findings, &mut outcome)?;
        if findings.has_errors() {
            outcome.plan = None;
            outcome.refusal = Some(Refusal::ConfigError);
        }
        // A stable sort: within a severity GitLab's order stays.
        findings.diagnostics.sort_by_key(|diagnostic| diagnostic.severity);
        let Outcome { plan, refusal, merged_yaml } = outcome;
        let Findings { sources, diagnostics, .. } = findings;
        Some(Compiled { plan, refusal, merged_yaml, diagnostics, sources })
    }

    fn run(&mut self, findings: &mut Findings, outcome: &mut Outcome) -> Option<()> {
        let variables = self.context.include_variables();
        let loaded = Loader::new(&mut self.facts, findings, variables, self.context.child)
            .root(&self.path, &self.context.inputs);
        let mut config = match loaded {
            Ok(config) => config?,
            Err(Stopped) => return Some(()),
        };
        if let Err(error) = extends::resolve(&mut config) {
            findings.error("extends", Some(error.span), error.message);
            return Some(());
        }
        if let Err(error) = reference::resolve(&mut config) {
            findings.error("reference", Some(error.span), error.message);
            return Some(());
        }
        stages::write_edges(&mut config);
        let root = Node::new(Span::default(), Value::Mapping(config));
        outcome.merged_yaml = Some(weir_yaml::write(&root));
        let config = root::parse(&root, findings);
        if findings.has_errors() {
            return Some(());
        }
        let instances = match matrix::expand(&config.jobs) {
            Ok(instances) => instances,
            Err(message) => {
                findings.error("parallel", None, message);
                return Some(());
            }
        };
        if let Err(error) = graph::check(&config.stages, &config.jobs, &instances) {
            findings.error("graph", error.span, error.message);
            return Some(());
        }
        if self.lint_only {
            return Some(());
        }
        match seed::plan(&config, &instances, &self.context, &mut self.facts, findings)? {
            Ok(plan) => outcome.plan = Some(plan),
            Err(refusal) => outcome.refusal = Some(refusal),
        }
        Some(())
    }
}

/// What a run comes to, besides findings.
struct Outcome {
    plan: Option<Plan>,
    refusal: Option<Refusal>,
    merged_yaml: Option<String>,
}

/// The outcome of a compilation.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// The pipeline, unless it is refused or was only to be checked.
    pub plan: Option<Plan>,
    /// Why there is no pipeline.
    pub refusal: Option<Refusal>,
    /// The configuration with its includes merged, as YAML.
    pub merged_yaml: Option<String>,
    /// Everything that is to be said, errors first in GitLab's order.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that the diagnostics point into.
    pub sources: Sources,
}

/// Why there is no pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The file is wrong: see the errors.
    ConfigError,
    /// `workflow:rules` said no.
    FilteredByWorkflowRules,
    /// No job is left.
    FilteredByRules,
}

impl Refusal {
    /// GitLab's message; a wrong file is explained by its diagnostics instead.
    pub const fn message(self) -> Option<&'static str> {
        match self {
            Self::ConfigError => None,
            Self::FilteredByWorkflowRules => {
                Some("The pipeline did not run. Review the workflow:rules configuration for the pipeline.")
            }
            Self::FilteredByRules => Some(
                "The resulting pipeline would have been empty. Review the rules configuration for the relevant jobs.",
            ),
        }
    }
}

impl Compiled {
    /// The messages of all errors, in GitLab's order.
    pub fn errors(&self) -> impl Iterator<Item = &str> {
        self.with_severity(Severity::Error)
    }

    /// The messages of all warnings that GitLab gives, too.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        self.with_severity(Severity::Warning)
    }

    fn with_severity(&self, severity: Severity) -> impl Iterator<Item = &str> {
        self.diagnostics
            .iter()
            .filter(move |diagnostic| diagnostic.severity == severity)
            .map(|diagnostic| diagnostic.message.as_str())
    }
}

#[cfg(test)]
mod tests {
    use weir_api::PipelineSource;

    use super::*;

    fn context() -> Context {
        Context::new(PipelineSource::Push, "main", "group/project")
    }

    #[test]
    fn requests_of_one_step_come_together_and_unanswered_ones_again() {
        let text = "include: [a.yml, b.yml]\nrspec: {script: x}";
        let mut compilation = Compilation::new(".gitlab-ci.yml", None, context());
        let file = |path: &str| Request::LocalFile { path: path.to_owned() };
        let Step::Need(requests) = compilation.step() else { panic!("the file is missing") };
        assert_eq!(requests, [file(".gitlab-ci.yml")]);
        compilation.supply(vec![Answer::File(Some(text.to_owned()))]);
        let Step::Need(requests) = compilation.step() else { panic!("the includes are missing") };
        assert_eq!(requests, [file("a.yml"), file("b.yml")]);
        compilation.supply(vec![Answer::File(Some("a: {script: x}".to_owned()))]);
        let Step::Need(requests) = compilation.step() else { panic!("one include is missing") };
        assert_eq!(requests, [file("b.yml")]);
        compilation.supply(vec![Answer::FileError("No.".to_owned())]);
        let Step::Done(compiled) = compilation.step() else { panic!("all is there") };
        assert_eq!(compiled.errors().collect::<Vec<_>>(), ["No."]);
        assert_eq!(compiled.refusal, Some(Refusal::ConfigError));
    }

    #[test]
    fn missing_and_empty_files_are_named() {
        for (answer, message) in [
            (Answer::File(None), "Missing CI config file"),
            (Answer::File(Some(" \n".to_owned())), "Please provide content of .gitlab-ci.yml"),
            (Answer::File(Some("[a]".to_owned())), "Invalid configuration format"),
            (Answer::File(Some("# nothing".to_owned())), "Invalid configuration format"),
        ] {
            let mut compilation = Compilation::new(".gitlab-ci.yml", None, context());
            assert!(matches!(compilation.step(), Step::Need(_)));
            compilation.supply(vec![answer]);
            let Step::Done(compiled) = compilation.step() else { panic!("all is there") };
            assert_eq!(compiled.errors().collect::<Vec<_>>(), [message]);
        }
    }

    #[test]
    fn the_linter_does_not_evaluate_rules() {
        let text = "a: {script: x, rules: [{changes: [y]}]}\nb: {script: x, needs: [c]}\nc: {script: x, rules: [{if: $N}]}";
        let mut compilation = Compilation::lint(".gitlab-ci.yml", Some(text), context());
        let Step::Done(compiled) = compilation.step() else { panic!("no facts are needed") };
        assert_eq!(compiled.errors().count(), 0);
        assert!(compiled.plan.is_none() && compiled.refusal.is_none() && compiled.merged_yaml.is_some());
    }
}
