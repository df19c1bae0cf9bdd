//! YAML as GitLab reads it: libyaml's grammar and Psych's scalar rules, every node with its place.
//!
//! [`parse`] reads one document, [`split_documents`] cuts a file into header and content first. Parsing
//! never panics and never recurses deeper than its limits, whatever the text.

mod compose;
mod document;
mod error;
pub mod limits;
mod node;
mod scalar;
mod span;
mod write;

pub use compose::{Parsed, Remark, parse, parse_at};
pub use document::{DocumentText, split_documents};
pub use error::{Error, ErrorKind};
pub use node::{Entry, Mapping, Node, Value};
pub use span::{FileId, LineColumn, Span, line_column};
pub use write::write;
