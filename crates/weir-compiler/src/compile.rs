//! The compilation as a conversation: it says what it needs, the caller answers.

use std::collections::HashMap;

use crate::{Context, Diagnostic, Plan, diagnostic::Severity, diagnostic::Sources};

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
}

/// An answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A file's text; none if it does not exist.
    File(Option<String>),
    /// The file cannot be had, and why, in GitLab's words.
    FileError(String),
    /// Paths; none if they are unknown, which counts as changed.
    Paths(Option<Vec<String>>),
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
}

/// The answers so far and the questions that came up.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    answers: HashMap<Request, Answer>,
    wanted: Vec<Request>,
}

impl Facts {
    /// The answer to a request; none notes the request for the next [`Step::Need`].
    pub(crate) fn get(&mut self, request: Request) -> Option<&Answer> {
        if !self.answers.contains_key(&request) && !self.wanted.contains(&request) {
            self.wanted.push(request.clone());
        }
        self.answers.get(&request)
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
        Self { path: path.to_owned(), context, facts }
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

    fn attempt(&mut self) -> Option<Compiled> {
        let request = Request::LocalFile { path: self.path.clone() };
        let answer = self.facts.get(request)?;
        let mut sources = Sources::default();
        let mut diagnostics = Vec::new();
        let text = match answer {
            Answer::File(Some(text)) => text.as_str(),
            Answer::File(None) | Answer::Paths(_) => "",
            Answer::FileError(message) => {
                diagnostics.push(Diagnostic::error("file", message.clone()));
                ""
            }
        };
        let file = sources.add(&self.path, text);
        if let Err(error) = weir_yaml::parse(file, text) {
            let place = weir_yaml::Span::new(file, error.offset, error.offset);
            let mut diagnostic = Diagnostic::error("yaml", error.to_string());
            diagnostic.labels.extend(sources.label(place, ""));
            diagnostics.push(diagnostic);
        }
        let _ = &self.context;
        let refusal = (!diagnostics.is_empty()).then_some(Refusal::ConfigError);
        let plan = diagnostics.is_empty().then(Plan::default);
        Some(Compiled { plan, refusal, merged_yaml: None, diagnostics, sources })
    }
}

/// The outcome of a compilation.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// The pipeline, unless it is refused.
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
