//! What is wrong, or worth a remark, and where.

use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use weir_yaml::{FileId, Span, line_column};

/// A problem with a place. Displayed it is one line: `file:line:column: message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// A short name of the rule, as in `unknown-key`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// GitLab's own text, as its API and pages show it.
    pub message: String,
    /// Where; the first label is the main place. None for problems without a place.
    pub labels: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
}

/// How bad a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// GitLab refuses the configuration.
    Error,
    /// GitLab accepts it and warns.
    Warning,
    /// GitLab says nothing, yet it is probably a mistake.
    Remark,
}

/// A place in a file with a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The file's path, or what stands for it.
    pub file: String,
    /// Bytes in the file.
    pub range: Range<usize>,
    /// Line of the first byte, from 1.
    pub line: usize,
    /// Column of the first byte in characters, from 1.
    pub column: usize,
    /// What is to be seen here; may be empty.
    pub text: String,
}

/// The files of a compilation: what [`Label`]s point into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    files: Vec<SourceFile>,
}

/// One file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path in the repository, or its address.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Sources {
    /// Adds a file.
    pub fn add(&mut self, path: &str, text: &str) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(SourceFile { path: path.to_owned(), text: text.to_owned() });
        id
    }

    /// The file of an id that [`Sources::add`] gave.
    pub fn get(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(usize::try_from(id.0).ok()?)
    }

    /// All files, in the order in which they were read.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// A label at a span; none if the file is unknown.
    pub fn label(&self, span: Span, text: impl Into<String>) -> Option<Label> {
        let file = self.get(span.file)?;
        let place = line_column(&file.text, span.start);
        Some(Label {
            file: file.path.clone(),
            range: span.start..span.end,
            line: place.line,
            column: place.column,
            text: text.into(),
        })
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(label) = self.labels.first() {
            write!(f, "{}:{}:{}: ", label.file, label.line, label.column)?;
        }
        f.write_str(&self.message)
    }
}

impl Diagnostic {
    /// An error without a place.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), labels: Vec::new(), help: None }
    }

    /// Draws the diagnostic with the lines it points to, in colour if `color`.
    pub fn render(&self, sources: &Sources, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Remark => Level::NOTE,
        };
        let mut group = Group::with_title(level.primary_title(self.message.as_str()).id(self.code));
        let mut by_file: Vec<(&SourceFile, Vec<(usize, &Label)>)> = Vec::new();
        for (index, label) in self.labels.iter().enumerate() {
            let Some(file) = sources.files.iter().find(|file| file.path == label.file) else { continue };
            match by_file.iter_mut().find(|(known, _)| known.path == file.path) {
                Some((_, labels)) => labels.push((index, label)),
                None => by_file.push((file, vec![(index, label)])),
            }
        }
        for (file, labels) in by_file {
            let annotations = labels.into_iter().map(|(index, label)| {
                let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
                let annotation = kind.span(first_line(&file.text, &label.range));
                if label.text.is_empty() { annotation } else { annotation.label(label.text.as_str()) }
            });
            group = group.element(
                Snippet::source(file.text.as_str()).path(file.path.as_str()).annotations(annotations),
            );
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut text = renderer.render(&[group]);
        let _ = writeln!(text);
        text
    }
}

/// The part of a range on its first line: a whole job would hide what matters.
fn first_line(text: &str, range: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(range.start);
    let end = text.floor_char_boundary(range.end).max(start);
    let length = text[start..end].find('\n').unwrap_or(end - start);
    start..start + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_points_at_its_lines() {
        let mut sources = Sources::default();
        let text = "rspec:\n  scirpt: ls\n";
        let file = sources.add(".gitlab-ci.yml", text);
        let diagnostic = Diagnostic {
            code: "unknown-key",
            severity: Severity::Error,
            message: "jobs:rspec config contains unknown keys: scirpt".into(),
            labels: sources.label(Span::new(file, 9, 15), "unknown").into_iter().collect(),
            help: Some("did you mean `script`?".into()),
        };
        insta::assert_snapshot!(diagnostic.render(&sources, false));
        assert_eq!(
            diagnostic.to_string(),
            ".gitlab-ci.yml:2:3: jobs:rspec config contains unknown keys: scirpt"
        );
    }
}
