//! What can be wrong with a text.

use crate::FileId;

/// A text that is not YAML, or not YAML that GitLab accepts. Displayed it is GitLab's own message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// The file.
    pub file: FileId,
    /// Byte offset of the mistake itself, which Psych's message does not always name.
    pub offset: usize,
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// The grammar is violated. The numbers are Psych's: from 1, and often of the construct around the
    /// mistake.
    #[error("(<unknown>): {message} at line {line} column {column}")]
    Syntax {
        /// Problem and context.
        message: String,
        /// Line from 1.
        line: u64,
        /// Column from 1.
        column: u64,
    },
    /// The parser broke down.
    #[error("Invalid YAML syntax")]
    Unreadable,
    /// `*name` without `&name` before it.
    #[error("Unknown alias: {0}")]
    UnknownAlias(String),
    /// A value of a Ruby class that GitLab does not load: a date, a time or a `!ruby/…` tag.
    #[error("Tried to load unspecified class: {0}")]
    UnspecifiedClass(String),
    /// A text in the form of a number that is none: `0x_`, `!float x`.
    #[error("invalid value for {class}(): {text:?}")]
    InvalidNumber {
        /// `Integer` or `Float`.
        class: &'static str,
        /// What Ruby tried to read.
        text: String,
    },
    /// More text than [`crate::limits::MAX_TEXT_BYTES`].
    #[error("The provided YAML is too big")]
    TextTooBig,
    /// A tree beyond [`crate::limits::MAX_TREE_BYTES`] or [`crate::limits::MAX_DEPTH`].
    #[error("The parsed YAML is too big")]
    TreeTooBig,
}
